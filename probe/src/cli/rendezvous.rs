//! `probe rendezvous`.

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use jiff::Timestamp;

use super::{Format, value};

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
    #[arg(long = "in", value_name = "DURATION", value_parser = value::duration)]
    pub r#in: Option<Duration>,
    /// How long to try again from the same port while the peer refuses
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = value::duration)]
    pub window: Duration,
    /// What to send
    #[arg(long, value_name = "TEXT", default_value = "I love you.")]
    pub payload: String,
    /// The form of the output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}
