//! What was refused, as a recording keeps it: a bind(2), and a peer that was sent an RST.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    listed::DiagLine,
    owner::{CgroupLine, OwnerLine, TaskLine, address},
};
use crate::{
    model::{BindFailure, Endpoints, Errno, Family, Mono, Protocol, Reset, SocketId, State},
    record::named::ByName,
};

/// [`BindFailure`], with what is unknown left out.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BindFailedLine {
    at: u64,
    cpu: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    task: Option<TaskLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cgroup: Option<CgroupLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cookie: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    netns: Option<u32>,
    protocol: ByName<Protocol>,
    family: ByName<Family>,
    local: SocketAddr,
    errno: i32,
    holders: Vec<DiagLine>,
}

/// [`Reset`], with what is unknown left out.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ResetLine {
    at: u64,
    cpu: u32,
    socket: u64,
    generation: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    netns: Option<u32>,
    family: ByName<Family>,
    local: SocketAddr,
    remote: SocketAddr,
    state: ByName<State>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    owner: OwnerLine,
}

impl From<&BindFailure> for BindFailedLine {
    fn from(failure: &BindFailure) -> Self {
        Self {
            at: failure.at.0,
            cpu: failure.cpu,
            task: failure.task.as_ref().map(Into::into),
            cgroup: failure.cgroup.as_ref().map(Into::into),
            cookie: failure.cookie,
            netns: failure.netns,
            protocol: ByName(failure.protocol),
            family: ByName(failure.family),
            local: address(failure.local),
            errno: failure.errno.0,
            holders: failure.holders.iter().map(Into::into).collect(),
        }
    }
}

impl From<BindFailedLine> for BindFailure {
    fn from(line: BindFailedLine) -> Self {
        Self {
            at: Mono(line.at),
            cpu: line.cpu,
            task: line.task.map(Into::into),
            cgroup: line.cgroup.map(Into::into),
            cookie: line.cookie,
            netns: line.netns,
            protocol: line.protocol.0,
            family: line.family.0,
            local: line.local.into(),
            errno: Errno(line.errno),
            holders: line.holders.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<&Reset> for ResetLine {
    fn from(reset: &Reset) -> Self {
        Self {
            at: reset.at.0,
            cpu: reset.cpu,
            socket: reset.socket.number,
            generation: reset.socket.generation,
            netns: reset.netns,
            family: ByName(reset.family),
            local: address(reset.ends.local),
            remote: address(reset.ends.remote),
            state: ByName(reset.state),
            reason: reset.reason.clone(),
            owner: (&reset.owner).into(),
        }
    }
}

impl From<ResetLine> for Reset {
    fn from(line: ResetLine) -> Self {
        Self {
            at: Mono(line.at),
            cpu: line.cpu,
            socket: SocketId { number: line.socket, generation: line.generation },
            netns: line.netns,
            family: line.family.0,
            ends: Endpoints { local: line.local.into(), remote: line.remote.into() },
            state: line.state.0,
            reason: line.reason,
            owner: line.owner.into(),
        }
    }
}
