//! What sock_diag lists, in a recording: sockets that were open before the trace began, and what the kernel keeps of a
//! connection after CLOSE.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::owner::{OwnerJson, socket_addr};
use crate::{
    model::{
        AcceptQueue, BindOptions, DiagEntry, Endpoints, Family, Mono, Protocol, SocketId, SocketIdentity,
        State, TimeWaitEntry,
    },
    record::{named::ByName, nanoseconds},
};

/// [`DiagEntry`], without what is unknown.
#[derive(Debug, Deserialize, Serialize)]
pub struct DiagEntryJson {
    cookie: u64,
    netns: u32,
    protocol: ByName<Protocol>,
    family: ByName<Family>,
    local: SocketAddr,
    remote: SocketAddr,
    state: ByName<State>,
    #[serde(default)]
    owner: OwnerJson,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_ns: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inode: Option<u32>,
    #[serde(default, skip_serializing_if = "BindOptionsJson::is_unknown")]
    options: BindOptionsJson,
    /// Of a listener: how many wait for accept, and how many may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queue: Option<(u32, u32)>,
}

/// [`BindOptions`], without what is unknown.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct BindOptionsJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reuse_addr: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reuse_port: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    v6_only: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
}

impl BindOptionsJson {
    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        let Self { reuse_addr, reuse_port, v6_only, device, uid } = self;
        let flags = [reuse_addr, reuse_port, v6_only];
        flags.iter().all(|flag| flag.is_none()) && device.is_none() && uid.is_none()
    }
}

impl From<BindOptions> for BindOptionsJson {
    fn from(options: BindOptions) -> Self {
        let BindOptions { reuse_addr, reuse_port, v6_only, device, uid } = options;
        Self { reuse_addr, reuse_port, v6_only, device, uid }
    }
}

impl From<BindOptionsJson> for BindOptions {
    fn from(json: BindOptionsJson) -> Self {
        let BindOptionsJson { reuse_addr, reuse_port, v6_only, device, uid } = json;
        Self { reuse_addr, reuse_port, v6_only, device, uid }
    }
}

/// [`TimeWaitEntry`], without what is unknown.
#[derive(Debug, Deserialize, Serialize)]
pub struct TimeWaitEntryJson {
    at: u64,
    socket: u64,
    generation: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    netns: Option<u32>,
    local: SocketAddr,
    remote: SocketAddr,
    /// Missing where the kernel keeps nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<ByName<State>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    #[serde(default)]
    owner: OwnerJson,
}

impl From<&DiagEntry> for DiagEntryJson {
    fn from(entry: &DiagEntry) -> Self {
        Self {
            cookie: entry.cookie,
            netns: entry.identity.netns,
            protocol: ByName(entry.identity.protocol),
            family: ByName(entry.identity.family),
            local: socket_addr(entry.identity.endpoints.local),
            remote: socket_addr(entry.identity.endpoints.remote),
            state: ByName(entry.state),
            owner: (&*entry.owner).into(),
            expires_ns: entry.expires.map(nanoseconds),
            inode: entry.inode,
            options: entry.options.into(),
            queue: entry.queue.map(|AcceptQueue { waiting, limit }| (waiting, limit)),
        }
    }
}

impl From<DiagEntryJson> for DiagEntry {
    fn from(json: DiagEntryJson) -> Self {
        let identity = SocketIdentity {
            netns: json.netns,
            protocol: json.protocol.0,
            family: json.family.0,
            endpoints: Endpoints { local: json.local.into(), remote: json.remote.into() },
        };
        Self {
            expires: json.expires_ns.map(Duration::from_nanos),
            inode: json.inode,
            options: json.options.into(),
            queue: json.queue.map(|(waiting, limit)| AcceptQueue { waiting, limit }),
            ..Self::new(json.cookie, identity, json.state.0, Arc::new(json.owner.into()))
        }
    }
}

impl From<&TimeWaitEntry> for TimeWaitEntryJson {
    fn from(entry: &TimeWaitEntry) -> Self {
        Self {
            at: entry.at.0,
            socket: entry.socket.number,
            generation: entry.socket.generation,
            netns: entry.identity.netns,
            local: socket_addr(entry.identity.endpoints.local),
            remote: socket_addr(entry.identity.endpoints.remote),
            state: entry.state.map(ByName),
            until: entry.until.map(|until| until.0),
            owner: (&entry.owner).into(),
        }
    }
}

impl From<TimeWaitEntryJson> for TimeWaitEntry {
    fn from(json: TimeWaitEntryJson) -> Self {
        Self {
            at: Mono(json.at),
            socket: SocketId { number: json.socket, generation: json.generation },
            // A mini-socket is always TCP.
            identity: SocketIdentity::tcp(
                json.netns,
                Endpoints { local: json.local.into(), remote: json.remote.into() },
            ),
            state: json.state.map(|state| state.0),
            until: json.until.map(Mono),
            owner: json.owner.into(),
        }
    }
}
