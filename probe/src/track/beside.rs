//! What comes beside the reports: the sockets that were there before, cgroups by name, binds that failed,
//! resets that were sent.

use std::{num::NonZeroU32, sync::Arc};

use foldhash::HashMap;

use super::{Tracker, preexisting::PreexistingSocket, tracked_socket::TrackedSocket};
use crate::model::{
    BindFailure, Cgroup, DiagEntry, Errno, KnownSocket, Mono, Owner, Reset, SocketId, SocketTable, State,
};

impl SocketTable for Tracker {
    fn find(&self, number: u64) -> Option<KnownSocket<'_>> {
        let live = |life| {
            let TrackedSocket { owner, course, .. }: &TrackedSocket = life;
            KnownSocket {
                netns: life.netns.map(NonZeroU32::get),
                ends: life.ends(),
                owner,
                course: Some(course),
            }
        };
        if let Some(life) = self.lives.get(&number) {
            return Some(live(life));
        }
        if let Some(PreexistingSocket { netns, ends, owner, .. }) = self.older.get(number) {
            return Some(KnownSocket { netns: Some(*netns), ends: ends.unpack(), owner, course: None });
        }
        // On the fallback backend, a socket from the snapshot has another number since it was heard of.
        self.lives.values().find(|life| life.has_cookie(number)).map(live)
    }
}

impl Tracker {
    /// Takes in the sockets that were there when sock_diag listed them: known from here on, and never newly
    /// opened. Nothing counts from that moment, since a row does not say how long it has been so.
    pub fn existing(&mut self, _at: Mono, sockets: &[DiagEntry]) {
        for row in sockets {
            // What its reports said is better.
            if self.lives.contains_key(&row.cookie) {
                continue;
            }
            let owner = self.shared.share(self.cgroups.named((*row.owner).clone()));
            if !row.is_full() {
                self.time_wait_owners.add_listed(row, &owner);
                continue;
            }
            if row.state == State::Listen {
                self.listeners.add(row.cookie, Some(row.netns), row.ends.local, Arc::clone(&owner));
            }
            self.older.add(row, owner);
        }
    }

    /// Takes in the path of a cgroup: owners have it from here on.
    pub fn cgroup(&mut self, cgroup: &Cgroup) {
        self.cgroups.add(cgroup);
        self.shared.forget();
    }

    /// Takes a bind(2) that failed, and adds what is known here of the caller's cgroup, of the holders'
    /// owners, and of holders that were gone when sock_diag was asked: what holds a port for a moment is
    /// hard to catch otherwise.
    #[must_use]
    pub fn bind_failed(&mut self, mut failure: BindFailure) -> BindFailure {
        self.cgroups.name(&mut failure.cgroup);
        for row in &mut failure.holders {
            match self.owner_of(row).filter(|owner| owner.known < row.owner.known) {
                Some(better) => row.owner = better.into(),
                None => self.cgroups.name(&mut Arc::make_mut(&mut row.owner).cgroup),
            }
        }
        // Where very many are listed, one that was gone by then says nothing more.
        let are_enough = failure.holders.len() == BindFailure::MOST_HOLDERS;
        if failure.errno == Errno::EADDRINUSE && failure.local.port.is_some() && !are_enough {
            let places: HashMap<u64, usize> =
                failure.holders.iter().enumerate().map(|(place, row)| (row.cookie, place)).collect();
            for live in self.holding(&failure) {
                match places.get(&live.cookie) {
                    Some(place) => failure.holders[*place] = live,
                    None => failure.holders.push(live),
                }
            }
        }
        failure.sift_holders();
        failure
    }

    /// The live sockets that have the port, in the order of their cookies. sock_diag has said it later.
    fn holding(&self, failure: &BindFailure) -> Vec<DiagEntry> {
        let netns = failure.netns.and_then(NonZeroU32::new);
        let has_the_port = |life: &&TrackedSocket| {
            life.continuous && life.netns == netns && life.ends().local.port == failure.local.port
        };
        let mut live: Vec<DiagEntry> =
            self.lives.values().filter(has_the_port).filter_map(TrackedSocket::listed).collect();
        live.sort_unstable_by_key(|row| row.cookie);
        live
    }

    /// Takes an RST that was sent, and adds of which connection it is, and whose.
    #[must_use]
    pub fn reset(&mut self, mut reset: Reset) -> Reset {
        if let Some(life) = self.lives.get(&reset.socket.number) {
            reset.socket = SocketId { generation: life.generation, ..reset.socket };
            reset.owner = (*life.owner).clone();
            reset.ends = reset.ends.or_earlier(life.ends());
        } else if let Some(before) = self.older.get(reset.socket.number) {
            reset.owner = (*before.owner).clone();
            reset.ends = reset.ends.or_earlier(before.ends.unpack());
        }
        reset
    }

    /// Whose the socket of that row is, or the connection was that left it.
    fn owner_of(&mut self, row: &DiagEntry) -> Option<Owner> {
        let Self { lives, older, time_wait_owners, .. } = self;
        let live = || lives.get(&row.cookie).map(|life| &*life.owner);
        let older = || older.get(row.cookie).map(|before| &*before.owner);
        if row.state == State::SynRecv {
            return self.listeners.owner_of_child(Some(row.netns), row.ends.local);
        }
        live().or_else(older).or_else(|| time_wait_owners.owner(row)).cloned()
    }
}
