//! `probe replay`: everything downstream of the kernel again, from a recording.

use std::{fs::File, io::BufReader};

use super::{
    exit::{Exit, Failure},
    outcome, output,
};
use crate::{
    cli::ReplayArgs,
    session::{Scope, Session},
    source::recording::Recording,
};

/// Shows a recording as the run that made it was shown. The exit code is that of its
/// verdicts.
pub async fn replay(args: &ReplayArgs) -> Result<Exit, Failure> {
    let at = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", args.file.display()));
    let file = File::open(&args.file).map_err(|error| at(&error))?;
    let mut source = Recording::new(BufReader::new(file)).map_err(|error| at(&error))?;
    let mut session = Session::new(Scope::All, output::renderer(args.format), output::stdout());
    let played = session.replay(&mut source).await;
    let result = outcome(played, |_| Exit::of(session.verdicts()));
    result.map_err(|failure| Failure {
        message: format!("{}: {}", args.file.display(), failure.message),
        ..failure
    })
}
