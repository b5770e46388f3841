//! The commands: each carries out its flags and returns an exit code. Only this module and `main` print.

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

/// Runs the command of a command line.
///
/// # Errors
/// [`Failure`] has the exit code and the message for stderr.
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

/// Turns the result of a session into an exit. A closed pipe on stdout (`probe … | head`) is not a failure.
fn outcome<T>(result: Result<T, SessionError>, exit: impl FnOnce(T) -> Exit) -> Result<Exit, Failure> {
    match result {
        Ok(value) => Ok(exit(value)),
        Err(SessionError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Ok(Exit::Expected)
        }
        Err(error) => Err(Failure::unexpected(error)),
    }
}
