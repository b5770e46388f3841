//! Lookup of known sockets.
//!
//! The tracker may know hundreds of thousands, so detectors remember only their numbers.

use std::{fmt::Debug, sync::Arc};

use super::{Owner, SocketIdentity, State, StateHistory};

/// The known sockets.
pub trait SocketTable: Debug {
    /// The socket with this number, or with this cookie where the snapshot had no number. `None` where it is unknown or
    /// evicted.
    fn find(&self, number: u64) -> Option<KnownSocket<'_>>;
}

/// What is known of a socket.
#[derive(Clone, Copy, Debug)]
pub struct KnownSocket<'a> {
    /// Namespace, protocol, family and endpoints.
    pub identity: SocketIdentity,
    /// The owner.
    pub owner: &'a Arc<Owner>,
    /// Its connection's states and transitions; `None` for a pre-existing socket without a report so far.
    pub history: Option<&'a StateHistory>,
}

impl KnownSocket<'_> {
    /// The `seq` of the transition into ESTABLISHED; `None` for a pre-existing connection.
    #[must_use]
    pub fn established(&self) -> Option<u64> {
        self.history?.first_entry_into(State::Established)
    }
}
