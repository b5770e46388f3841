//! The commands: what was typed becomes what is done, and what came of it an exit code. The only place
//! that prints.

mod audit;
mod completions;
mod diff;
mod doctor;
mod exit;
mod filter;
mod live;
mod man;
mod output;
mod pcap;
mod rendezvous;
mod replay;
mod run;
mod schema;
mod show;
mod trace;

pub use exit::{Exit, Failure};

use crate::{
    cli::{Cli, Command},
    session::SessionError,
};

/// Carries out a command line.
///
/// # Errors
/// [`Failure`] has the exit code and the line for stderr.
pub async fn execute(cli: Cli) -> Result<Exit, Failure> {
    match cli.command {
        Command::Run(args) => run::run(&args, &cli.common).await,
        Command::Trace(args) => trace::trace(&args, &cli.common).await,
        Command::Audit(args) => audit::audit(&args, &cli.common).await,
        Command::Diff(args) => diff::diff(&args),
        Command::Rendezvous(args) => rendezvous::rendezvous(&args, &cli.common).await,
        Command::Replay(args) => replay::replay(&args).await,
        Command::Doctor(args) => doctor::doctor(&args, &cli.common).await,
        Command::Schema => schema::schema(),
        Command::Completions(args) => completions::completions(args.shell),
        Command::Man => man::man(),
    }
}

/// What a session's end means for the process. A reader of stdout that has seen enough
/// (`probe … | head`) is no failure.
fn outcome<T>(result: Result<T, SessionError>, otherwise: impl FnOnce(T) -> Exit) -> Result<Exit, Failure> {
    match result {
        Ok(value) => Ok(otherwise(value)),
        Err(SessionError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Ok(Exit::Expected)
        }
        Err(error) => Err(Failure::unexpected(error)),
    }
}
