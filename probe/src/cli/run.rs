//! `probe run`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::{Format, value};

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

/// The longest delay of the emulated link. The longest handshake takes three times that, and since Linux
/// 6.5 a connect gives up after 11 s: 6 retries (`tcp_syn_retries`), the first of them a second apart
/// (`tcp_syn_linear_timeouts`).
const LONGEST_DELAY: Duration = Duration::from_secs(3);

/// A delay of the emulated link.
fn delay(text: &str) -> Result<Duration, String> {
    let delay = value::duration(text)?;
    if delay > LONGEST_DELAY {
        return Err(format!("the link delays by at most {} s each way: take less", LONGEST_DELAY.as_secs()));
    }
    Ok(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

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
