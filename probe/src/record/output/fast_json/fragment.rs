//! The pieces that lines have in common.

use std::{net::IpAddr, num::NonZero, sync::Arc};

use super::{fragment_cache::Fragment, line::Line};
use crate::{
    model::{
        Cause, Cgroup, Connection, Edge, Endpoints, Family, Open, Owner, Protocol, SocketId, State,
        StatePath, Transition,
    },
    record::output::value::generation,
};

/// Which socket it is, and its ends: the same in all lines of a connection but the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    socket: SocketId,
    netns: Option<u32>,
    protocol: Protocol,
    family: Family,
    ends: Endpoints,
}

impl From<&Transition> for Identity {
    fn from(transition: &Transition) -> Self {
        let Transition { socket, netns, protocol, family, ends, .. } = *transition;
        Self { socket, netns, protocol, family, ends }
    }
}

impl From<&Connection> for Identity {
    fn from(connection: &Connection) -> Self {
        let Connection { socket, netns, protocol, family, ends, .. } = *connection;
        Self { socket, netns, protocol, family, ends }
    }
}

impl Fragment for Identity {
    type Content = Self;

    /// Cookies follow each other; addresses are multiples of what a socket takes.
    fn slot(&self) -> usize {
        (self.socket.number ^ self.socket.number >> 6 ^ self.socket.number >> 12) as usize
    }

    fn says(&self, content: &Self) -> bool {
        self == content
    }

    fn content(&self) -> Self {
        *self
    }

    fn write(&self, line: &mut Line<'_>) {
        self.write_around(line, AddressFragment::write);
    }
}

impl Identity {
    /// Writes it anew, but for the part that has a writer of its own.
    pub fn write_around(
        &self,
        line: &mut Line<'_>,
        write_place: impl FnOnce(&AddressFragment, &mut Line<'_>),
    ) {
        let Self { socket, netns, protocol, family, ends } = *self;
        line.word(r#","socket":""#);
        line.number(socket.number);
        line.word(r#"","generation":"#);
        line.any_number(generation(socket).map(NonZero::get));
        write_place(&AddressFragment { netns, protocol, family, addr: ends.local.addr }, line);
        line.any_number(ends.local.port.map(NonZero::get));
        line.word(r#"},"remote":"#);
        line.endpoint(ends.remote);
    }
}

/// Where the sockets of a host are, but for the port: there are few places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressFragment {
    netns: Option<u32>,
    protocol: Protocol,
    family: Family,
    addr: IpAddr,
}

impl Fragment for AddressFragment {
    type Content = Self;

    fn slot(&self) -> usize {
        let addr = match self.addr {
            IpAddr::V4(addr) => addr.to_bits(),
            IpAddr::V6(addr) => addr.to_bits() as u32,
        };
        (addr ^ addr >> 8 ^ addr >> 24 ^ self.netns.unwrap_or_default()) as usize
    }

    fn says(&self, content: &Self) -> bool {
        self == content
    }

    fn content(&self) -> Self {
        *self
    }

    fn write(&self, line: &mut Line<'_>) {
        line.word(r#","netns":"#);
        line.any_number(self.netns);
        line.word(r#","protocol":""#);
        line.word(self.protocol.name());
        line.word(r#"","family":""#);
        line.word(self.family.name());
        line.word(r#"","local":{"addr":""#);
        line.addr(self.addr);
        line.word(r#"","port":"#);
    }
}

/// How a socket moved on, and why: there are few ways.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    edge: Edge,
    cause: Option<Cause>,
}

impl From<&Transition> for Step {
    fn from(transition: &Transition) -> Self {
        Self { edge: transition.edge(), cause: transition.cause }
    }
}

impl Fragment for Step {
    type Content = (Edge, Option<Cause>);

    fn slot(&self) -> usize {
        let (old, new) = self.edge;
        State::ALL.len() * old as usize + new as usize
    }

    fn says(&self, (edge, cause): &Self::Content) -> bool {
        (self.edge, self.cause) == (*edge, *cause)
    }

    fn content(&self) -> Self::Content {
        (self.edge, self.cause)
    }

    fn write(&self, line: &mut Line<'_>) {
        let (old, new) = self.edge;
        line.word(r#","old":""#);
        line.word(old.name());
        line.word(r#"","new":""#);
        line.word(new.name());
        line.word(r#"","cause":"#);
        line.cause(self.cause);
    }
}

/// Which states connections go through: there are few ways.
#[derive(Clone, Copy, Debug)]
pub struct PathFragment<'a> {
    path: &'a StatePath,
}

impl<'a> From<&'a Connection> for PathFragment<'a> {
    fn from(connection: &'a Connection) -> Self {
        Self { path: &connection.path }
    }
}

impl Fragment for PathFragment<'_> {
    type Content = StatePath;

    fn slot(&self) -> usize {
        (self.path.packed().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
    }

    fn says(&self, path: &StatePath) -> bool {
        self.path == path
    }

    fn content(&self) -> StatePath {
        self.path.clone()
    }

    fn write(&self, line: &mut Line<'_>) {
        for (place, state) in self.path.iter().enumerate() {
            line.word(if place == 0 { "\"" } else { ",\"" });
            line.word(state.name());
            line.word("\"");
        }
    }
}

/// How a connection came to be, and why it ended.
#[derive(Clone, Copy, Debug)]
pub struct OpenAndClose {
    open: Open,
    close: Option<Cause>,
}

impl From<&Connection> for OpenAndClose {
    fn from(connection: &Connection) -> Self {
        let close = connection.close.as_ref().and_then(|close| close.cause);
        Self { open: connection.open, close }
    }
}

impl Fragment for OpenAndClose {
    type Content = (Open, Option<Cause>);

    fn slot(&self) -> usize {
        8 * self.close.map_or(0, |cause| cause.detail().len()) + self.open as usize
    }

    fn says(&self, (open, close): &Self::Content) -> bool {
        (self.open, self.close) == (*open, *close)
    }

    fn content(&self) -> Self::Content {
        (self.open, self.close)
    }

    fn write(&self, line: &mut Line<'_>) {
        line.word(r#","open":""#);
        line.word(self.open.name());
        line.word(r#"","close":"#);
        line.cause(self.close);
    }
}

/// Whose it is: most lines have the very owner that is kept, so that nothing of it has to be compared.
impl Fragment for &Arc<Owner> {
    type Content = Arc<Owner>;

    fn slot(&self) -> usize {
        4 * self.task.as_ref().map_or(0, |task| task.pid as usize) + self.known as usize
    }

    fn says(&self, owner: &Arc<Owner>) -> bool {
        *self == owner
    }

    fn content(&self) -> Arc<Owner> {
        Arc::clone(self)
    }

    fn write(&self, line: &mut Line<'_>) {
        let task = self.task.as_ref();
        let cgroup = self.cgroup.as_ref();
        line.word(r#"{"pid":"#);
        line.any_number(task.map(|task| task.pid));
        line.word(r#","comm":"#);
        line.any_text(task.map(|task| task.comm.as_bytes()));
        line.word(r#","uid":"#);
        line.any_number(task.map(|task| task.uid));
        line.word(r#","cgroup":"#);
        match cgroup {
            Some(cgroup) => line.decimal(cgroup.id),
            None => line.word("null"),
        }
        line.word(r#","cgroup_path":"#);
        line.any_text(cgroup.and_then(|cgroup| Some(cgroup.path.as_ref()?.as_bytes())));
        line.word(r#","container":"#);
        line.any_text(cgroup.and_then(Cgroup::container).map(str::as_bytes));
        line.word(r#","known":""#);
        line.word(self.known.name());
        line.word("\"}");
    }
}
