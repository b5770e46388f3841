//! `probe run`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::{format::Format, value};

/// Which network namespace the scenarios' sockets are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NetnsChoice {
    /// New namespaces, which vanish with the run
    Private,
    /// The namespace that probe runs in, where ports may be in use and sysctls are not changed
    Host,
}

/// What connects the two sockets of a simultaneous open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WireChoice {
    /// An emulated link between two namespaces, which delays each packet
    Tun,
    /// The loopback device, where two threads race until their SYNs cross
    Loopback,
}

/// `probe run`
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  sudo probe run
        run all scenarios
  sudo probe run simultaneous-open --delay 100ms --pcap open.pcapng
        capture two SYNs that cross, for Wireshark
  sudo probe run self-connect --repeat 10 --format json
        run one scenario ten times")]
pub struct RunArgs {
    /// Scenarios to run: shared-port, simultaneous-open, self-connect; all if none is given
    #[arg(value_name = "SCENARIO")]
    pub scenarios: Vec<String>,
    /// List the scenarios with a description, and run none
    #[arg(long)]
    pub list: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// What connects the two sockets of simultaneous-open
    #[arg(long, value_enum, default_value_t = WireChoice::Tun)]
    pub wire: WireChoice,
    /// One-way delay of the emulated link, at most 3s
    #[arg(long, value_name = "DURATION", default_value = "40ms", value_parser = delay)]
    pub delay: Duration,
    /// Use IPv6 instead of IPv4
    #[arg(long)]
    pub ipv6: bool,
    /// Run each scenario N times
    #[arg(long, value_name = "N", default_value = "1", value_parser = value::positive::<u32>)]
    pub repeat: u32,
    /// Write the packets of the emulated link as pcapng, with each transition as a packet comment
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
    /// Record the kernel's reports, for `probe replay`
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Which network namespace the sockets are in
    #[arg(long, value_enum, default_value_t = NetnsChoice::Private)]
    pub netns: NetnsChoice,
    /// Give each scenario one wrong expectation, so that its check fails
    #[arg(long, hide = true)]
    pub sabotage: bool,
}

/// The longest delay of the emulated link. The longest handshake takes three times that, and since Linux
/// 6.5 a connect gives up after 11 s: 6 retries (`tcp_syn_retries`), the first of them a second apart
/// (`tcp_syn_linear_timeouts`).
const MAX_DELAY: Duration = Duration::from_secs(3);

/// Parses a delay of the emulated link.
fn delay(text: &str) -> Result<Duration, String> {
    let delay = value::duration(text)?;
    if delay > MAX_DELAY {
        return Err(format!(
            "the emulated link delays each way by at most {}s, e.g. 40ms",
            MAX_DELAY.as_secs()
        ));
    }
    Ok(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_has_an_upper_limit() {
        assert_eq!(delay("0s"), Ok(Duration::ZERO));
        assert_eq!(delay("3s"), Ok(MAX_DELAY));
        for long in ["3s 1ns", "99999999h", "9000000000000000000s"] {
            let error = delay(long).unwrap_err();
            assert_eq!(error, "the emulated link delays each way by at most 3s, e.g. 40ms");
        }
        assert!(delay("-1s").is_err());
    }
}
