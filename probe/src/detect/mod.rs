//! Detectors: what in a stream deserves an engineer's attention. One detector per file, all behind one trait.
//!
//! Pure: transitions in, findings out, and time from ticks. A detector claims only what is certain, and omits what it
//! cannot know. To add one, add a file here and a line in [`all`].

mod bind_failed;
mod connect_attempt;
mod connect_failed;
mod connect_given_up;
mod detector;
mod detectors;
mod illegal_transition;
mod port_sharing;
mod self_connect;
mod simultaneous_close;
mod simultaneous_open;
mod socket_multimap;
mod stuck;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tuples;

use std::time::Duration;

use self::{
    bind_failed::BindFailed, connect_failed::ConnectFailed, connect_given_up::ConnectGivenUp,
    illegal_transition::IllegalTransition, port_sharing::PortSharing, self_connect::SelfConnect,
    simultaneous_close::SimultaneousClose, simultaneous_open::SimultaneousOpen, stuck::Stuck,
};
pub use self::{
    detector::{Context, Detector},
    detectors::Detectors,
};
use crate::model::Host;

/// Settings of the detectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long a socket may stay in SYN_SENT, CLOSE_WAIT or FIN_WAIT2 before it counts as stuck.
    pub stuck_after: Duration,
    /// Whether the stream has summaries of connections instead of their transitions: then no detector needs to index
    /// pre-existing sockets for findings that only transitions show.
    pub summaries: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { stuck_after: Duration::from_secs(60), summaries: false }
    }
}

/// Every detector, in the order in which their findings are emitted.
#[must_use]
pub fn all(host: &Host, options: &Options) -> Detectors {
    Detectors::new(vec![
        Box::new(SelfConnect::new(host)),
        Box::new(SimultaneousOpen),
        Box::new(SimultaneousClose),
        Box::new(PortSharing::new(!options.summaries)),
        Box::new(ConnectFailed::new(host, !options.summaries)),
        Box::new(ConnectGivenUp),
        Box::new(BindFailed::new(host)),
        Box::new(IllegalTransition),
        Box::new(Stuck::new(options.stuck_after)),
    ])
}
