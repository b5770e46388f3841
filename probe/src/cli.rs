//! The command line: what can be typed. What it means is resolved in [`cmd`](crate::cmd).

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};

/// TCP connection lifecycles, as the kernel itself reports them.
#[derive(Debug, Parser)]
#[command(name = "probe", version, arg_required_else_help = true, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

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
    /// Open a connection with another host simultaneously, at an agreed time
    Rendezvous(RendezvousArgs),
    /// Show a recording again, without a kernel and without root
    Replay(ReplayArgs),
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

/// Where a scenario's sockets live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NetnsChoice {
    /// In network namespaces of their own
    Private,
    /// Among the host's own, where a port may be taken and sysctls stay as they are
    Host,
}

/// What carries a simultaneous open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WireChoice {
    /// An emulated link between two namespaces
    Tun,
    /// The loopback device, where two threads race until their SYNs cross
    Loopback,
}

/// `probe run`
#[derive(Args, Debug)]
pub struct RunArgs {
    /// shared-port, simultaneous-open, self-connect; none means all
    #[arg(value_name = "SCENARIO")]
    pub scenarios: Vec<String>,
    /// Name the scenarios and what each shows, and run none
    #[arg(long)]
    pub list: bool,
    /// The form of the output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// What carries the simultaneous open
    #[arg(long, value_enum, default_value_t = WireChoice::Tun)]
    pub wire: WireChoice,
    /// How long a packet is under way on the emulated link, each way
    #[arg(long, default_value = "40ms", value_parser = delay)]
    pub delay: Duration,
    /// Use IPv6
    #[arg(long)]
    pub ipv6: bool,
    /// Run everything so often
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Write the emulated link's packets there as pcapng, each state change a comment on its packet
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
    /// Keep what the kernel reported there, for `probe replay`
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Where the scenarios' sockets live
    #[arg(long, value_enum, default_value_t = NetnsChoice::Private)]
    pub netns: NetnsChoice,
    /// Expect something wrong of each scenario, to see its check fail
    #[arg(long, hide = true)]
    pub sabotage: bool,
}

/// `probe rendezvous`
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("when").required(true).args(["at", "in"]))]
pub struct RendezvousArgs {
    /// The address and port to connect from
    #[arg(long, value_name = "IP:PORT")]
    pub local: SocketAddr,
    /// The address and port to connect to
    #[arg(long, value_name = "IP:PORT")]
    pub peer: SocketAddr,
    /// The agreed time, such as 2026-11-22T12:00:00Z
    #[arg(long, value_name = "RFC3339")]
    pub at: Option<Timestamp>,
    /// The time from now; for two processes of one host
    #[arg(long = "in", value_name = "DURATION", value_parser = duration)]
    pub r#in: Option<Duration>,
    /// How long to try again from the same port while the peer refuses
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub window: Duration,
    /// What to send
    #[arg(long, value_name = "TEXT", default_value = "I love you.")]
    pub payload: String,
    /// The form of the output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// `probe replay`
#[derive(Args, Debug)]
pub struct ReplayArgs {
    /// A recording, as `--record` makes them
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The form of the output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// The longest delay of the emulated link. The longest handshake takes three times that, and since Linux
/// 6.5 a connect gives up after 11 s: 6 retries (`tcp_syn_retries`), the first of them a second apart
/// (`tcp_syn_linear_timeouts`).
const LONGEST_DELAY: Duration = Duration::from_secs(3);

/// A delay of the emulated link.
fn delay(text: &str) -> Result<Duration, String> {
    let delay = duration(text)?;
    if delay > LONGEST_DELAY {
        return Err(format!("the link delays by at most {} s each way: take less", LONGEST_DELAY.as_secs()));
    }
    Ok(delay)
}

/// A span of time such as `40ms`, `2s` or `1m 30s`.
fn duration(text: &str) -> Result<Duration, String> {
    let span: SignedDuration =
        text.parse().map_err(|error| format!("{error}; write it like 40ms, 2s or 1m 30s"))?;
    Duration::try_from(span).map_err(|_| "a span of time cannot be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn spans_of_time_are_read_as_people_write_them() {
        assert_eq!(duration("40ms"), Ok(Duration::from_millis(40)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(duration("-1s").is_err());
        assert!(duration("40").is_err());
    }

    #[test]
    fn a_delay_is_one_that_a_run_can_wait_for() {
        assert_eq!(delay("0s"), Ok(Duration::ZERO));
        assert_eq!(delay("3s"), Ok(LONGEST_DELAY));
        for long in ["3s 1ns", "99999999h", "9000000000000000000s"] {
            let refusal = delay(long).unwrap_err();
            assert_eq!(refusal, "the link delays by at most 3 s each way: take less");
        }
        assert!(delay("-1s").is_err());
    }
}
