//! The fragments that lines have in common.

use std::{net::IpAddr, num::NonZero, sync::Arc};

use super::{fragment_cache::Fragment, line::Line};
use crate::{
    model::{
        Cause, Cgroup, ClosedBy, Connection, Edge, Endpoints, Family, Open, Owner, Protocol, SocketId, State,
        StatePath, Transition,
    },
    record::output::value::generation,
};

/// Socket, namespace, protocol, family and endpoints: the same in all lines of a connection, except for the first one or
/// two, where the local port is not assigned yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentityFragment {
    socket: Option<SocketId>,
    netns: Option<u32>,
    protocol: Protocol,
    family: Family,
    ends: Endpoints,
}

impl From<&Transition> for IdentityFragment {
    fn from(transition: &Transition) -> Self {
        let Transition { netns, protocol, family, ends, .. } = *transition;
        Self { socket: transition.identity(), netns, protocol, family, ends }
    }
}

impl From<&Connection> for IdentityFragment {
    fn from(connection: &Connection) -> Self {
        let Connection { socket, netns, protocol, family, ends, .. } = *connection;
        Self { socket: Some(socket), netns, protocol, family, ends }
    }
}

impl Fragment for IdentityFragment {
    type Key = Self;

    /// Cookies are consecutive numbers; addresses are multiples of a socket's size.
    fn hash(&self) -> usize {
        let number = self.socket.map_or(0, |socket| socket.number);
        (number ^ number >> 6 ^ number >> 12) as usize
    }

    fn matches(&self, key: &Self) -> bool {
        self == key
    }

    fn key(&self) -> Self {
        *self
    }

    fn write(&self, line: &mut Line<'_>) {
        self.write_with(line, AddressFragment::write);
    }
}

impl IdentityFragment {
    /// Formats the fragment; `write_address` appends the part up to the local address.
    pub fn write_with(
        &self,
        line: &mut Line<'_>,
        write_address: impl FnOnce(&AddressFragment, &mut Line<'_>),
    ) {
        let Self { socket, netns, protocol, family, ends } = *self;
        match socket {
            Some(socket) => {
                line.raw(r#","socket":""#);
                line.integer(socket.number);
                line.raw(r#"","generation":"#);
            }
            None => line.raw(r#","socket":null,"generation":"#),
        }
        line.integer_or_null(socket.and_then(generation).map(NonZero::get));
        write_address(&AddressFragment { netns, protocol, family, addr: ends.local.addr }, line);
        line.integer_or_null(ends.local.port.map(NonZero::get));
        line.raw(r#"},"remote":"#);
        line.endpoint(ends.remote);
    }
}

/// Namespace, protocol, family and local address: a host has few combinations of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressFragment {
    netns: Option<u32>,
    protocol: Protocol,
    family: Family,
    addr: IpAddr,
}

impl Fragment for AddressFragment {
    type Key = Self;

    fn hash(&self) -> usize {
        let addr = match self.addr {
            IpAddr::V4(addr) => addr.to_bits(),
            IpAddr::V6(addr) => addr.to_bits() as u32,
        };
        (addr ^ addr >> 8 ^ addr >> 24 ^ self.netns.unwrap_or_default()) as usize
    }

    fn matches(&self, key: &Self) -> bool {
        self == key
    }

    fn key(&self) -> Self {
        *self
    }

    fn write(&self, line: &mut Line<'_>) {
        line.raw(r#","netns":"#);
        line.integer_or_null(self.netns);
        line.raw(r#","protocol":""#);
        line.raw(self.protocol.name());
        line.raw(r#"","family":""#);
        line.raw(self.family.name());
        line.raw(r#"","local":{"addr":""#);
        line.address(self.addr);
        line.raw(r#"","port":"#);
    }
}

/// Old state, new state and cause.
#[derive(Clone, Copy, Debug)]
pub struct StepFragment {
    edge: Edge,
    cause: Option<Cause>,
}

impl From<&Transition> for StepFragment {
    fn from(transition: &Transition) -> Self {
        Self { edge: transition.edge(), cause: transition.cause }
    }
}

impl Fragment for StepFragment {
    type Key = (Edge, Option<Cause>);

    fn hash(&self) -> usize {
        let (old, new) = self.edge;
        State::ALL.len() * old as usize + new as usize
    }

    fn matches(&self, (edge, cause): &Self::Key) -> bool {
        (self.edge, self.cause) == (*edge, *cause)
    }

    fn key(&self) -> Self::Key {
        (self.edge, self.cause)
    }

    fn write(&self, line: &mut Line<'_>) {
        let (old, new) = self.edge;
        line.raw(r#","old":""#);
        line.raw(old.name());
        line.raw(r#"","new":""#);
        line.raw(new.name());
        line.raw(r#"","cause":"#);
        line.cause(self.cause);
    }
}

/// The states of a connection.
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
    type Key = StatePath;

    fn hash(&self) -> usize {
        (self.path.packed().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
    }

    fn matches(&self, path: &StatePath) -> bool {
        self.path == path
    }

    fn key(&self) -> StatePath {
        self.path.clone()
    }

    fn write(&self, line: &mut Line<'_>) {
        for (index, state) in self.path.iter().enumerate() {
            line.raw(if index == 0 { "\"" } else { ",\"" });
            line.raw(state.name());
            line.raw("\"");
        }
    }
}

/// How a connection was opened and closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenCloseFragment {
    open: Open,
    close: Option<Cause>,
    closed_by: Option<ClosedBy>,
}

impl From<&Connection> for OpenCloseFragment {
    fn from(connection: &Connection) -> Self {
        let close = connection.close.as_ref().and_then(|close| close.cause);
        Self { open: connection.open, close, closed_by: connection.closed_by() }
    }
}

impl Fragment for OpenCloseFragment {
    type Key = Self;

    fn hash(&self) -> usize {
        let closed_by = self.closed_by.map_or(0, |closed_by| 1 + closed_by as usize);
        8 * self.close.map_or(0, |cause| cause.detail().len()) + self.open as usize + 32 * closed_by
    }

    fn matches(&self, key: &Self) -> bool {
        self == key
    }

    fn key(&self) -> Self {
        *self
    }

    fn write(&self, line: &mut Line<'_>) {
        line.raw(r#","open":""#);
        line.raw(self.open.name());
        line.raw(r#"","close":"#);
        line.cause(self.close);
        match self.closed_by {
            Some(closed_by) => {
                line.raw(r#","closed_by":""#);
                line.raw(closed_by.name());
                line.raw("\"");
            }
            None => line.raw(r#","closed_by":null"#),
        }
    }
}

/// The owner. Most lines share the cached `Arc`, so that the comparison is one of pointers.
impl Fragment for &Arc<Owner> {
    type Key = Arc<Owner>;

    fn hash(&self) -> usize {
        4 * self.task.as_ref().map_or(0, |task| task.pid as usize) + self.known as usize
    }

    fn matches(&self, owner: &Arc<Owner>) -> bool {
        *self == owner
    }

    fn key(&self) -> Arc<Owner> {
        Arc::clone(self)
    }

    fn write(&self, line: &mut Line<'_>) {
        let task = self.task.as_ref();
        let cgroup = self.cgroup.as_ref();
        line.raw(r#"{"pid":"#);
        line.integer_or_null(task.map(|task| task.pid));
        line.raw(r#","comm":"#);
        line.string_or_null(task.map(|task| task.comm.as_bytes()));
        line.raw(r#","uid":"#);
        line.integer_or_null(task.map(|task| task.uid));
        line.raw(r#","cgroup":"#);
        match cgroup {
            Some(cgroup) => line.decimal_string(cgroup.id),
            None => line.raw("null"),
        }
        line.raw(r#","cgroup_path":"#);
        line.string_or_null(cgroup.and_then(|cgroup| Some(cgroup.path.as_ref()?.as_bytes())));
        line.raw(r#","container":"#);
        line.string_or_null(cgroup.and_then(Cgroup::container).map(str::as_bytes));
        line.raw(r#","known":""#);
        line.raw(self.known.name());
        line.raw("\"}");
    }
}
