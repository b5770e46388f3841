//! Owners and endpoints in a recording.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::encoding::EscapedName;
use crate::{
    model::{Cgroup, Endpoint, Known, Owner, Task},
    record::named::ByName,
};

/// The endpoint as text shows it: an unknown or unbound port is 0.
pub fn socket_addr(end: Endpoint) -> SocketAddr {
    SocketAddr::new(end.addr, end.port_or_zero())
}

/// [`Task`]
#[derive(Debug, Deserialize, Serialize)]
pub struct TaskJson {
    pid: u32,
    uid: u32,
    comm: EscapedName,
}

/// [`Cgroup`]
#[derive(Debug, Deserialize, Serialize)]
pub struct CgroupJson {
    id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<EscapedName>,
}

/// [`Owner`], without what is unknown.
#[derive(Debug, Deserialize, Serialize)]
pub struct OwnerJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    task: Option<TaskJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cgroup: Option<CgroupJson>,
    #[serde(default = "unknown")]
    known: ByName<Known>,
}

/// The value where the recording names none.
pub fn unknown() -> ByName<Known> {
    ByName(Known::Unknown)
}

impl Default for OwnerJson {
    fn default() -> Self {
        Self { task: None, cgroup: None, known: unknown() }
    }
}

impl From<&Task> for TaskJson {
    fn from(task: &Task) -> Self {
        Self { pid: task.pid, uid: task.uid, comm: EscapedName(task.comm.clone()) }
    }
}

impl From<TaskJson> for Task {
    fn from(json: TaskJson) -> Self {
        Self { pid: json.pid, uid: json.uid, comm: json.comm.0 }
    }
}

impl From<&Cgroup> for CgroupJson {
    fn from(cgroup: &Cgroup) -> Self {
        Self { id: cgroup.id, path: cgroup.path.clone().map(EscapedName) }
    }
}

impl From<CgroupJson> for Cgroup {
    fn from(json: CgroupJson) -> Self {
        Self { id: json.id, path: json.path.map(|path| path.0) }
    }
}

impl From<&Owner> for OwnerJson {
    fn from(owner: &Owner) -> Self {
        Self {
            task: owner.task.as_ref().map(Into::into),
            cgroup: owner.cgroup.as_ref().map(Into::into),
            known: ByName(owner.known),
        }
    }
}

impl From<OwnerJson> for Owner {
    fn from(json: OwnerJson) -> Self {
        Self { task: json.task.map(Into::into), cgroup: json.cgroup.map(Into::into), known: json.known.0 }
    }
}
