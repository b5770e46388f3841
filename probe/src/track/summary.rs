//! Connections from summaries: the same as from their transitions.

use std::{mem, sync::Arc};

use super::{
    Tracker,
    cause::{self, CauseContext, PriorReports, cause},
    counters::{Earlier, counters},
    owner,
    time_wait_owners::Left,
    tracked_socket::port_origin,
};
use crate::model::{
    Close, Connection, Endpoints, Open, Owner, Protocol, SocketId, State, StatePath, Summary,
};

impl Tracker {
    /// The connection of a summary. A summary is self-contained: reports lost before it make no difference. Moves the path out
    /// of it, since a host may report a hundred thousand in a second.
    #[must_use]
    pub fn summarize(&mut self, summary: &mut Summary) -> Connection {
        let path = mem::take(&mut summary.path);
        let end = &summary.end;
        let existing = self.preexisting.take(end);
        let identity = existing
            .as_ref()
            .map_or(end.identity, |socket| end.identity.or_earlier(socket.identity.endpoints()));
        let open = open(&path, identity.endpoints);
        let context = CauseContext {
            prior: PriorReports {
                passive: (open != Open::Preexisting).then_some(open == Open::Passive),
                first_port: summary.first_port,
                previous_port: None,
                deferred_shutdown: false,
                opened_in_repair: false,
            },
            syscall: end.syscall.and_then(|number| self.syscalls.by_number(number)),
        };
        let owners = &mut self.owners;
        let mut owner = owner::reported(end, &self.cgroups, owners)
            .or_else(|| existing.map(|socket| socket.owner).filter(|owner| owner.task.is_some()))
            .or_else(|| {
                let owner = self.listeners.owner_of_child(&identity);
                owner.filter(|_| open == Open::Passive).map(|owner| owners.share(owner))
            })
            .unwrap_or_else(Owner::unknown);
        let cause = cause(end, &context);
        if cause::is_owners_call(end, &context) {
            owner::claim(&mut owner, end, owners);
        }
        owner::guess(&mut owner, end, cause, owners);
        let reported = end.opened.as_ref().map_or(0, |opened| opened.generation);
        let is_mptcp = end.identity.protocol == Protocol::Mptcp;
        let generation = if is_mptcp { self.generations.next_shared(end.socket, reported) } else { reported };
        let counters =
            counters(end, Earlier { open, in_repair: context.prior.opened_in_repair, synacks: end.synacks });
        let connection = Connection {
            socket: SocketId { number: end.socket, generation },
            identity,
            open,
            opened: summary.opened,
            established: summary.established,
            close: Some(Close { at: end.at, cause }),
            path,
            counters,
            owner,
            complete: summary.opened.is_some() && summary.path_is_complete,
        };
        let port_origin = port_origin(open, &context.prior);
        let left = Left { owner: Arc::clone(&connection.owner), port_origin };
        self.time_wait_owners.add(end, &identity, left);
        connection
    }
}

/// How a connection with this path opened.
fn open(path: &StatePath, endpoints: Endpoints) -> Open {
    let crossed = path.contains((State::SynSent, State::SynRecv));
    match path.first_edge() {
        _ if crossed && endpoints.is_self() => Open::SelfConnect,
        _ if crossed => Open::Simultaneous,
        Some((State::Close, State::SynSent)) => Open::Active,
        // An MPTCP socket enters ESTABLISHED at once.
        Some((State::Listen, State::SynRecv | State::Established)) => Open::Passive,
        _ => Open::Preexisting,
    }
}
