//! Sample values of the model, for tests.

mod audit;
mod causes;

use std::{net::SocketAddr, sync::Arc};

pub use self::{
    audit::{kernel_facts, observation, profiles, results},
    causes::{any_cause, cause},
};
use super::{
    BindOptions, Cgroup, Clock, DiagEntry, Endpoint, Endpoints, Host, Known, Mono, Name, Owner,
    SocketIdentity, State, Task,
};

/// A host.
pub fn host() -> Host {
    Host {
        kernel: "6.18.0".to_owned(),
        arch: "x86_64".to_owned(),
        hostname: "test".to_owned(),
        clock: Clock { realtime_offset_ns: 0 },
        ready_at: Mono(0),
        netns: None,
        ephemeral: Some(32768..=60999),
    }
}

/// A process of user 1000.
pub fn task(pid: u32, comm: &str) -> Task {
    Task { pid, uid: 1000, comm: Name::from_bytes(comm.as_bytes()) }
}

/// The same process as an owner in cgroup 9, whose path is unknown.
pub fn owner(pid: u32, comm: &str, known: Known) -> Owner {
    Owner { task: Some(task(pid, comm)), cgroup: Some(Cgroup { id: 9, path: None }), known }
}

/// An endpoint from `address:port`; port 0 means none.
pub fn endpoint(text: &str) -> Endpoint {
    text.parse::<SocketAddr>().expect("an address in a test").into()
}

/// Both endpoints of a connection.
pub fn endpoints(local: &str, remote: &str) -> Endpoints {
    Endpoints { local: endpoint(local), remote: endpoint(remote) }
}

/// All known: a socket of user 1000 that shares no port.
pub const UNSHARED: BindOptions = BindOptions {
    reuse_addr: Some(false),
    reuse_port: Some(false),
    v6_only: Some(false),
    device: Some(0),
    uid: Some(1000),
};

/// A socket that sock_diag lists in namespace 1, without an owner.
pub fn diag_entry(cookie: u64, state: State, local: &str, remote: &str) -> DiagEntry {
    DiagEntry::new(cookie, SocketIdentity::tcp(1, endpoints(local, remote)), state, Owner::unknown())
}

impl DiagEntry {
    /// In this network namespace.
    pub fn in_netns(self, netns: u32) -> Self {
        Self { identity: SocketIdentity { netns, ..self.identity }, ..self }
    }

    /// With this process as the holder of its descriptor, from /proc.
    pub fn held_by(self, pid: u32, comm: &str) -> Self {
        Self { owner: Arc::new(owner(pid, comm, Known::Inferred)), ..self }
    }
}
