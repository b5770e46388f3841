//! `probe rendezvous`.

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use jiff::Timestamp;

use super::{format::Format, value};

/// `probe rendezvous`
#[derive(Args, Debug)]
#[command(
    group = clap::ArgGroup::new("when").required(true).args(["at", "in"]),
    after_long_help = "\
Examples:
  sudo probe rendezvous --local 192.0.2.1:1314 --peer 198.51.100.2:1314 --at 2026-11-22T12:00:00Z
        on 192.0.2.1
  sudo probe rendezvous --local 198.51.100.2:1314 --peer 192.0.2.1:1314 --at 2026-11-22T12:00:00Z
        on 198.51.100.2"
)]
pub struct RendezvousArgs {
    /// Local address and port to connect from
    #[arg(long, value_name = "IP:PORT", value_parser = value::endpoint)]
    pub local: SocketAddr,
    /// The peer's address and port to connect to
    #[arg(long, value_name = "IP:PORT", value_parser = value::endpoint)]
    pub peer: SocketAddr,
    /// When to connect, such as 2026-11-22T12:00:00Z
    #[arg(long, value_name = "RFC3339", value_parser = value::timestamp)]
    pub at: Option<Timestamp>,
    /// Connect after this time from now, for two processes on one host
    #[arg(long = "in", value_name = "DURATION", value_parser = value::duration)]
    pub r#in: Option<Duration>,
    /// How long to retry from the same port while the peer refuses the connection
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = value::duration)]
    pub window: Duration,
    /// Text to send over the connection
    #[arg(long, value_name = "TEXT", default_value = "I love you.")]
    pub payload: String,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}
