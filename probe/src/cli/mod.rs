//! The command line: what can be typed. What it means is resolved in [`cmd`](crate::cmd).
//!
//! One definition gives the parser, the help, the completions and the manual page.

mod audit;
mod filter;
mod rendezvous;
mod run;
mod show;
mod trace;
mod value;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use self::{
    audit::{AuditArgs, DiffArgs},
    filter::FilterArgs,
    rendezvous::RendezvousArgs,
    run::{NetnsChoice, RunArgs, WireChoice},
    show::{ShowArgs, TimeChoice},
    trace::{ReplayArgs, TraceArgs},
};

/// TCP connection lifecycles, as the kernel itself reports them.
#[derive(Debug, Parser)]
#[command(
    name = "probe",
    version,
    arg_required_else_help = true,
    propagate_version = true,
    after_long_help = EXIT_CODES
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    everything went as expected
  1    it ran, and something was not as expected
  2    wrong usage, or input that cannot be read
  3    this host cannot do it
  130  stopped by Ctrl-C where that is not the normal end
  any  that of the command, of `probe trace -- COMMAND`";

/// Flags of every command.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Say more on stderr; twice, and the kernel side speaks too
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Take this kernel interface and no other
    #[arg(long, value_enum, global = true, hide = true)]
    pub backend: Option<BackendChoice>,
    /// Do without the kernel's type information, as on a host that has none
    #[arg(long, global = true, hide = true)]
    pub no_btf: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Drive the connection scenarios and check them against the kernel's own report
    Run(RunArgs),
    /// Follow every TCP socket of this host: transitions, owners, causes, findings
    Trace(Box<TraceArgs>),
    /// Open a connection with another host simultaneously, at an agreed time
    Rendezvous(RendezvousArgs),
    /// Show a recording again, without a kernel and without root
    Replay(Box<ReplayArgs>),
    /// Bring about what TCP does, and hold this kernel against it
    Audit(AuditArgs),
    /// Say in what two kernels differ, by what was kept of their audits; without root
    Diff(DiffArgs),
    /// Say what this host allows, what each lack costs, and which hazards are there
    Doctor(DoctorArgs),
    /// Print the JSON Schema of the output
    Schema,
    /// Print the completions of a shell
    Completions(CompletionsArgs),
    /// Print the manual page, for man(1): `probe man | man -l -`
    Man,
}

/// A form of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a terminal
    Table,
    /// One object a line, as it happens
    Json,
}

/// A kernel interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum BackendChoice {
    /// The BTF tracepoint
    TpBtf,
    /// The classic tracepoint
    Tracepoint,
}

/// `probe doctor`
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// The form of the output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// `probe completions`
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }
}
