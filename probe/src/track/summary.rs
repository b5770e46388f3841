//! Connections of which nothing but the end was reported, told as if every transition had been.

use std::mem;

use super::{
    Tracker,
    cause::{self, CauseContext, PriorReports, cause},
    owner,
};
use crate::model::{Close, Connection, Endpoints, Open, Owner, SocketId, State, StatePath, Summary};

impl Tracker {
    /// Takes a connection of which nothing but its end was reported. It is whole in itself: what was lost
    /// before it makes no difference. Its path is taken out of it: a host may have a hundred thousand of them in a second.
    #[must_use]
    pub fn summarize(&mut self, summary: &mut Summary) -> Connection {
        let path = mem::take(&mut summary.path);
        let end = &summary.end;
        let older = self.older.take(end);
        let ends = older.as_ref().map_or(end.ends, |row| end.ends.or_earlier(row.ends.unpack()));
        let open = open(&path, ends);
        let context = CauseContext {
            prior: PriorReports {
                passive: (open != Open::Preexisting).then_some(open == Open::Passive),
                first_port: summary.first_port,
                previous_port: None,
                deferred_shutdown: false,
            },
            syscall: end.syscall.and_then(|number| self.syscalls.by_number(number)),
        };
        let shared = &mut self.shared;
        let mut owner = owner::told(end, &self.cgroups, shared)
            .or_else(|| older.map(|before| before.owner).filter(|owner| owner.task.is_some()))
            .or_else(|| {
                let owner = self.listeners.owner_of_child(end.netns, ends.local);
                owner.filter(|_| open == Open::Passive).map(|owner| shared.share(owner))
            })
            .unwrap_or_else(Owner::nobody);
        let cause = cause(end, &context);
        if cause::is_owners_call(end, &context) {
            owner::claim(&mut owner, end, shared);
        }
        owner::guess(&mut owner, end, cause, shared);
        let generation = end.opened.as_ref().map_or(0, |opened| opened.generation);
        let connection = Connection {
            socket: SocketId { number: end.socket, generation },
            netns: end.netns,
            protocol: end.protocol,
            family: end.family,
            ends,
            open,
            opened: summary.opened,
            established: summary.established,
            close: Some(Close { at: end.at, cause }),
            path,
            counters: end.counters,
            owner,
            complete: summary.opened.is_some() && summary.path_is_whole,
        };
        self.time_wait_owners.add(end, ends, &connection.owner);
        connection
    }
}

/// How a connection came to be that took this path.
fn open(path: &StatePath, ends: Endpoints) -> Open {
    let crossed = path.takes((State::SynSent, State::SynRecv));
    match path.first_edge() {
        _ if crossed && ends.is_self() => Open::SelfConnect,
        _ if crossed => Open::Simultaneous,
        Some((State::Close, State::SynSent)) => Open::Active,
        // MPTCP's own socket goes to ESTABLISHED at once.
        Some((State::Listen, State::SynRecv | State::Established)) => Open::Passive,
        _ => Open::Preexisting,
    }
}
