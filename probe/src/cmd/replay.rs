//! `probe replay`: processes a recording as a live trace is processed.

use std::{fs::File, io, os::fd::AsFd as _};

use super::{
    exit::{Exit, Failure},
    filter, outcome, output, show,
};
use crate::{
    cli::ReplayArgs,
    session::{self, Scope, Selection, Session, SessionError, TickMode},
    source::recording::Recording,
};

/// Shows a recording. The exit code follows its scenarios' verdicts and `--fail-on`.
pub async fn replay(args: &ReplayArgs) -> Result<Exit, Failure> {
    show::check(&args.show)?;
    let filter = filter::of_recording(&args.filter)?;
    let at = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", args.file.display()));
    // The recording's reader has a buffer.
    let input = match args.file.as_os_str() == "-" {
        true => io::stdin().as_fd().try_clone_to_owned().map(File::from),
        false => File::open(&args.file),
    };
    let file = input.map_err(|error| at(&error))?;
    let mut source = Recording::new(file).map_err(|error| at(&error))?;
    let selection = Selection {
        filter,
        view: show::view(&args.show),
        kinds: args.show.only.clone(),
        ..Selection::default()
    };
    let mut session = Session::new(Scope::All, show::layout(&args.show).for_stdout(), output::unbuffered())
        .selection(selection)
        .detector_options(show::detection(&args.show));
    let ticks = if args.show.stuck_after.is_some() { TickMode::Filled } else { TickMode::Recorded };
    let replayed = session::replay(&mut session, &mut source, ticks).await;
    if !source.skipped().is_empty() {
        eprintln!("probe: warning: {}: {}", args.file.display(), source.skipped());
    }
    let replayed = match replayed {
        Err(SessionError::Source(error)) => return Err(at(&error)),
        replayed => replayed,
    };
    let exit = outcome(replayed, |_| Exit::of(session.verdicts()))?;
    Ok(show::exit(&session, &args.show, exit))
}
