//! What can be asked about other sockets than the one that a transition is of.
//!
//! There may be hundreds of thousands, and the tracker knows each: a detector keeps their numbers.

use std::{fmt::Debug, sync::Arc};

use super::{Endpoints, Owner, State, StateHistory};

/// The sockets that are known by now.
pub trait SocketTable: Debug {
    /// The socket of that number; or of that cookie, where the snapshot had nothing else. `None` where it is forgotten.
    fn find(&self, number: u64) -> Option<KnownSocket<'_>>;
}

/// What is known of a socket.
#[derive(Clone, Copy, Debug)]
pub struct KnownSocket<'a> {
    /// The network namespace's inode number.
    pub netns: Option<u32>,
    /// Both ends.
    pub ends: Endpoints,
    /// Whose it is.
    pub owner: &'a Arc<Owner>,
    /// The course of its connection; `None` for one from the snapshot that has not been heard of since.
    pub course: Option<&'a StateHistory>,
}

impl KnownSocket<'_> {
    /// The `seq` of the transition that established it; `None` for one that was there before.
    #[must_use]
    pub fn established(&self) -> Option<u64> {
        self.course?.entry_into(State::Established)
    }
}
