//! What sock_diag lists, as a recording keeps it: sockets that were there already, and what stayed of a
//! connection.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::owner::{OwnerLine, address};
use crate::{
    model::{DiagEntry, Endpoints, Family, Mono, Protocol, SocketId, State, TimeWaitEntry},
    record::{named::ByName, nanoseconds},
};

/// [`DiagEntry`], with what is unknown left out.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DiagLine {
    cookie: u64,
    netns: u32,
    protocol: ByName<Protocol>,
    family: ByName<Family>,
    local: SocketAddr,
    remote: SocketAddr,
    state: ByName<State>,
    owner: OwnerLine,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_ns: Option<u64>,
}

/// [`TimeWaitEntry`], with what is unknown left out.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TimeWaitLine {
    at: u64,
    socket: u64,
    generation: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    netns: Option<u32>,
    local: SocketAddr,
    remote: SocketAddr,
    /// Left out where nothing stayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<ByName<State>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    owner: OwnerLine,
}

impl From<&DiagEntry> for DiagLine {
    fn from(listed: &DiagEntry) -> Self {
        Self {
            cookie: listed.cookie,
            netns: listed.netns,
            protocol: ByName(listed.protocol),
            family: ByName(listed.family),
            local: address(listed.ends.local),
            remote: address(listed.ends.remote),
            state: ByName(listed.state),
            owner: (&*listed.owner).into(),
            expires_ns: listed.expires.map(nanoseconds),
        }
    }
}

impl From<DiagLine> for DiagEntry {
    fn from(line: DiagLine) -> Self {
        Self {
            cookie: line.cookie,
            netns: line.netns,
            protocol: line.protocol.0,
            family: line.family.0,
            ends: Endpoints { local: line.local.into(), remote: line.remote.into() },
            state: line.state.0,
            owner: Arc::new(line.owner.into()),
            expires: line.expires_ns.map(Duration::from_nanos),
        }
    }
}

impl From<&TimeWaitEntry> for TimeWaitLine {
    fn from(remains: &TimeWaitEntry) -> Self {
        Self {
            at: remains.at.0,
            socket: remains.socket.number,
            generation: remains.socket.generation,
            netns: remains.netns,
            local: address(remains.ends.local),
            remote: address(remains.ends.remote),
            state: remains.state.map(ByName),
            until: remains.until.map(|until| until.0),
            owner: (&remains.owner).into(),
        }
    }
}

impl From<TimeWaitLine> for TimeWaitEntry {
    fn from(line: TimeWaitLine) -> Self {
        Self {
            at: Mono(line.at),
            socket: SocketId { number: line.socket, generation: line.generation },
            netns: line.netns,
            ends: Endpoints { local: line.local.into(), remote: line.remote.into() },
            state: line.state.map(|state| state.0),
            until: line.until.map(Mono),
            owner: line.owner.into(),
        }
    }
}
