//! The pieces that lines have in common.

use std::{num::NonZero, sync::Arc};

use super::{kept::Piece, line::Line};
use crate::{
    model::{
        Cause, Cgroup, Connection, Edge, Endpoints, Family, Owner, Protocol, SocketId, State, StatePath,
        Transition,
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

impl Piece for Identity {
    type Content = Self;

    /// Cookies follow each other; addresses are multiples of what a socket takes.
    fn place(&self) -> usize {
        (self.socket.number ^ self.socket.number >> 6 ^ self.socket.number >> 12) as usize
    }

    fn says(&self, content: &Self) -> bool {
        self == content
    }

    fn content(&self) -> Self {
        *self
    }

    fn write(&self, line: &mut Line<'_>) {
        line.word(r#","socket":"#);
        line.decimal(self.socket.number);
        line.word(r#","generation":"#);
        line.any_number(generation(self.socket).map(NonZero::get));
        line.word(r#","netns":"#);
        line.any_number(self.netns);
        line.word(r#","protocol":""#);
        line.word(self.protocol.name());
        line.word(r#"","family":""#);
        line.word(self.family.name());
        line.word(r#"","local":"#);
        line.endpoint(self.ends.local);
        line.word(r#","remote":"#);
        line.endpoint(self.ends.remote);
    }
}

/// How a socket moved on, and why: there are few ways.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    edge: Edge,
    cause: Option<&'a Cause>,
}

impl<'a> From<&'a Transition> for Step<'a> {
    fn from(transition: &'a Transition) -> Self {
        Self { edge: transition.edge(), cause: transition.cause.as_ref() }
    }
}

impl Piece for Step<'_> {
    type Content = (Edge, Option<Cause>);

    fn place(&self) -> usize {
        let (old, new) = self.edge;
        State::ALL.len() * old as usize + new as usize
    }

    fn says(&self, (edge, cause): &Self::Content) -> bool {
        (self.edge, self.cause) == (*edge, cause.as_ref())
    }

    fn content(&self) -> Self::Content {
        (self.edge, self.cause.copied())
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

/// How connections come and go: there are few ways.
#[derive(Clone, Copy, Debug)]
pub struct Course<'a> {
    path: &'a StatePath,
}

impl<'a> From<&'a Connection> for Course<'a> {
    fn from(connection: &'a Connection) -> Self {
        Self { path: &connection.path }
    }
}

impl Piece for Course<'_> {
    type Content = StatePath;

    fn place(&self) -> usize {
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

/// Why a connection ended.
impl Piece for Option<&Cause> {
    type Content = Option<Cause>;

    fn place(&self) -> usize {
        self.map_or(0, |cause| cause.detail.len())
    }

    fn says(&self, cause: &Option<Cause>) -> bool {
        *self == cause.as_ref()
    }

    fn content(&self) -> Option<Cause> {
        self.copied()
    }

    fn write(&self, line: &mut Line<'_>) {
        line.cause(*self);
    }
}

/// Whose it is: most lines have the very owner that is kept, so that nothing of it has to be compared.
impl Piece for &Arc<Owner> {
    type Content = Arc<Owner>;

    fn place(&self) -> usize {
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
