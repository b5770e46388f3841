//! Whose a socket is, and where, as a recording keeps it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{
    model::{Cgroup, Endpoint, Known, Owner, Task},
    record::{named::ByName, names::Escaped},
};

/// [`Endpoint`]; no port is port 0.
pub fn address(end: Endpoint) -> SocketAddr {
    SocketAddr::new(end.addr, end.port_or_zero())
}

/// [`Task`]
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TaskLine {
    pid: u32,
    uid: u32,
    comm: Escaped,
}

/// [`Cgroup`]
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CgroupLine {
    id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<Escaped>,
}

/// [`Owner`], with what is unknown left out.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OwnerLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    task: Option<TaskLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cgroup: Option<CgroupLine>,
    known: ByName<Known>,
}

impl From<&Task> for TaskLine {
    fn from(task: &Task) -> Self {
        Self { pid: task.pid, uid: task.uid, comm: Escaped(task.comm.clone()) }
    }
}

impl From<TaskLine> for Task {
    fn from(line: TaskLine) -> Self {
        Self { pid: line.pid, uid: line.uid, comm: line.comm.0 }
    }
}

impl From<&Cgroup> for CgroupLine {
    fn from(cgroup: &Cgroup) -> Self {
        Self { id: cgroup.id, path: cgroup.path.clone().map(Escaped) }
    }
}

impl From<CgroupLine> for Cgroup {
    fn from(line: CgroupLine) -> Self {
        Self { id: line.id, path: line.path.map(|path| path.0) }
    }
}

impl From<&Owner> for OwnerLine {
    fn from(owner: &Owner) -> Self {
        Self {
            task: owner.task.as_ref().map(Into::into),
            cgroup: owner.cgroup.as_ref().map(Into::into),
            known: ByName(owner.known),
        }
    }
}

impl From<OwnerLine> for Owner {
    fn from(line: OwnerLine) -> Self {
        Self { task: line.task.map(Into::into), cgroup: line.cgroup.map(Into::into), known: line.known.0 }
    }
}
