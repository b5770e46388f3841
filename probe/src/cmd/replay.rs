//! `probe replay`: everything downstream of the kernel again, from a recording.

use std::fs::File;

use super::{
    exit::{Exit, Failure},
    filter, outcome, output, show,
};
use crate::{
    cli::ReplayArgs,
    session::{Scope, Selection, Session, SessionError, Ticks},
    source::recording::Recording,
};

/// Shows a recording as the run that made it was shown. The exit code is that of its
/// verdicts, and of `--fail-on`.
pub async fn replay(args: &ReplayArgs) -> Result<Exit, Failure> {
    show::check(&args.show)?;
    let filter = filter::of_recording(&args.filter)?;
    let at = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", args.file.display()));
    let file = File::open(&args.file).map_err(|error| at(&error))?;
    let mut source = Recording::new(file).map_err(|error| at(&error))?;
    let selection = Selection {
        filter,
        view: show::view(&args.show),
        kinds: args.show.only.clone(),
        ..Selection::default()
    };
    let mut session = Session::new(Scope::All, show::look(&args.show).on_stdout(), output::unbuffered())
        .selecting(selection)
        .detecting(show::options(&args.show));
    let ticks = if args.show.stuck_after.is_some() { Ticks::Filled } else { Ticks::Recorded };
    let played = session.replay(&mut source, ticks).await;
    if !source.skipped().is_empty() {
        eprintln!("probe: warning: {}: {}", args.file.display(), source.skipped());
    }
    let played = match played {
        Err(SessionError::Source(error)) => return Err(at(&error)),
        played => played,
    };
    let exit = outcome(played, |_| Exit::of(session.verdicts()))?;
    Ok(show::judge(&session, &args.show, exit))
}
