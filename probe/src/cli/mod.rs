//! The command line: commands, flags and their help. [`cmd`](crate::cmd) carries them out.
//!
//! The parser, the help, the completions and the manual page are made from this one definition.

mod audit;
mod filter;
mod format;
mod rendezvous;
mod run;
mod show;
mod trace;
mod value;

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    error::{ContextKind, ContextValue, ErrorKind},
};
use clap_complete::Shell;

pub use self::{
    audit::{AuditArgs, DiffArgs},
    filter::FilterArgs,
    format::Format,
    rendezvous::RendezvousArgs,
    run::{NetnsChoice, RunArgs, WireChoice},
    show::{ShowArgs, TimeChoice},
    trace::{ReplayArgs, TraceArgs},
};

/// Trace, reproduce and audit TCP connection lifecycles on Linux, as the kernel reports them
#[derive(Debug, Parser)]
#[command(
    name = "probe",
    version,
    arg_required_else_help = true,
    propagate_version = true,
    after_long_help = AFTER_HELP
)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// Flags of every command.
    #[command(flatten)]
    pub common: Common,
}

impl Cli {
    /// Parses the arguments of this process.
    ///
    /// # Errors
    /// Clap's, with a hint where the argument looks like a command to trace. Help and the version are such errors, too.
    pub fn of_process() -> Result<Self, clap::Error> {
        Self::try_parse().map_err(with_hint)
    }
}

/// Adds how a command is traced to the error about one without `--` before it.
fn with_hint(mut error: clap::Error) -> clap::Error {
    let of_trace =
        error.get(ContextKind::Usage).is_some_and(|usage| usage.to_string().contains("probe trace "));
    if let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg)
        && of_trace
        && error.kind() == ErrorKind::UnknownArgument
        && !argument.starts_with('-')
    {
        let hint = format!("to trace a command, put `--` before it: -- {argument}");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![hint.into()]));
    }
    error
}

const AFTER_HELP: &str = "\
Examples:
  sudo probe doctor
        what this host supports, and what is missing
  sudo probe trace --port 443
        every state transition of the sockets on port 443
  sudo probe run
        reproduce the three scenarios and check this kernel

Exit codes:
  0    everything went as expected
  1    it ran, and something was not as expected
  2    wrong usage, or input that cannot be read
  3    this host cannot do it; one line says what is missing
  130  interrupted by Ctrl-C where that is not the normal end
  any  the exit status of COMMAND, for `probe trace -- COMMAND`";

/// Flags of every command.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Log more to stderr; -vv also logs what the BPF programs report
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Use this tracepoint interface and no other
    #[arg(long, value_enum, global = true, hide = true)]
    pub backend: Option<BackendChoice>,
    /// Ignore the kernel's BTF, as on a host without it
    #[arg(long, global = true, hide = true)]
    pub no_btf: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run TCP scenarios and check what the kernel does
    ///
    /// Each scenario opens real connections in network namespaces of its own and compares the transitions that the
    /// kernel reports with the expected ones: shared-port (several connections share one local port),
    /// simultaneous-open (two SYNs cross) and self-connect (a socket connects to itself).
    Run(RunArgs),
    /// Trace the TCP sockets of this host: transitions, causes, owners, findings
    ///
    /// Prints every state transition with its cause and the process that owns the socket, and findings such as failed
    /// connects. Without filters it covers every network namespace. Ctrl-C stops it. Repeat a filter, or separate its
    /// values by commas, to match any of them; filters of different kinds must all match.
    Trace(Box<TraceArgs>),
    /// Open a TCP connection to another host simultaneously, at an agreed time
    ///
    /// Both hosts run this command, each with its own --local and the other as --peer, and connect at the same moment.
    /// Their clocks must differ by less than --window, so run NTP or PTP on both.
    Rendezvous(RendezvousArgs),
    /// Show a recording made with --record; needs no root
    ///
    /// Computes transitions, owners and findings again from the recorded reports. Filters, thresholds and output formats
    /// may differ from those of the trace that made the recording.
    Replay(Box<ReplayArgs>),
    /// Test how this kernel's TCP behaves and compare it with the expected behaviour
    ///
    /// A behaviour is what a segment, call or timer does to a socket in a given state. The audit triggers each one in its
    /// own network namespaces and compares it with the RFCs and the Linux sources. Exits with 1 if any differs.
    Audit(AuditArgs),
    /// Compare two kernels by the profiles of their audits; needs no root
    ///
    /// Exits with 1 if they differ.
    Diff(DiffArgs),
    /// Check what this host supports, what depends on each missing facility, and which ports are hazards
    ///
    /// Tries out each facility that probe needs. Changes no setting and leaves nothing behind. Exits with 3 if this
    /// host cannot be traced.
    Doctor(DoctorArgs),
    /// Print the JSON Schema of the JSON output
    #[command(after_long_help = "Example:\n  probe schema > probe.schema.json")]
    Schema,
    /// Print a shell completion script
    Completions(CompletionsArgs),
    /// Print the manual page in roff format
    #[command(after_long_help = "Example:\n  probe man | man -l -")]
    Man,
}

/// A tracepoint interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum BackendChoice {
    /// The BTF-enabled tracepoint
    TpBtf,
    /// The classic tracepoint
    Tracepoint,
}

/// `probe doctor`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  sudo probe doctor
        facilities, sysctls and hazards, with remedies
  sudo probe doctor --format json | jq 'select(.status == \"unavailable\")'
        only what is missing")]
pub struct DoctorArgs {
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// `probe completions`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  probe completions bash > /etc/bash_completion.d/probe
  probe completions fish > ~/.config/fish/completions/probe.fish")]
pub struct CompletionsArgs {
    /// Shell to complete for
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Cli::command().get_subcommands() {
            let after = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Example") && after.contains("probe "), "{}: {after}", command.get_name());
        }
    }
}
