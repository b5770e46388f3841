//! The generations of sockets that the tracker no longer holds, so that no two connections of a stream have the same
//! socket number and generation.

use foldhash::HashMap;

use super::tracked_socket::TrackedSocket;

/// The maximum number of sockets with a generation of their own.
const MAX: usize = if cfg!(test) { 16 } else { 1 << 16 };

/// The last generation of evicted sockets, where the kernel side may report it again.
///
/// A cookie is unique, and the kernel side counts the connections of its socket. It repeats a generation only where it
/// did not see the opening (generation 0); for MPTCP, where accepted sockets share the listener's cookie; and on backend
/// `tracepoint`, where the number is an address: other sockets reuse it, and its count restarts when the kernel's map
/// evicts it.
#[derive(Debug, Default)]
pub struct Generations {
    last: HashMap<u64, u32>,
    /// No socket that was removed from `last` had a later generation; `None` where none was removed.
    floor: Option<u32>,
}

impl Generations {
    /// The generation of a connection under a number that is not tracked. `reported`: what the kernel side counted, or 0
    /// where the opening was not seen.
    pub fn next(&mut self, number: u64, reported: u32) -> u32 {
        if self.last.is_empty() && self.floor.is_none() {
            return reported;
        }
        let last = self.last.remove(&number).max(self.floor);
        last.map_or(reported, |last| following(last, reported))
    }

    /// The generation of a connection of a socket that is not tracked, by one of the two.
    pub fn of_new(&mut self, number: u64, reported: u32, is_shared: bool) -> u32 {
        if is_shared { self.next_shared(number, reported) } else { self.next(number, reported) }
    }

    /// The generation of an MPTCP socket, whose number others may have as well: an accepted one has that of its listener.
    pub fn next_shared(&mut self, number: u64, reported: u32) -> u32 {
        let generation = self.next(number, reported);
        self.insert(number, generation);
        generation
    }

    /// The tracker no longer holds this socket.
    pub fn evicted(&mut self, number: u64, socket: &TrackedSocket) {
        if socket.generation == 1 && socket.has_cookie(number) && !socket.is_mptcp() {
            return;
        }
        self.insert(number, socket.generation);
    }

    fn insert(&mut self, number: u64, generation: u32) {
        if self.last.len() == MAX && !self.last.contains_key(&number) {
            self.floor = self.floor.max(self.last.values().copied().max());
            self.last.clear();
        }
        self.last.insert(number, generation);
    }
}

/// The generation after `last`: the reported one where it is later. Otherwise at least 2: the tracker does not record
/// the first generation of a socket with a cookie when it evicts the socket.
pub fn following(last: u32, reported: u32) -> u32 {
    if reported > last { reported } else { last.max(1) + 1 }
}
