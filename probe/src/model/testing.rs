//! Pieces of the model that tests everywhere are made of.

mod audit;
mod causes;

use std::{net::SocketAddr, sync::Arc};

pub use self::{
    audit::{kernel_facts, profiles, results, sight},
    causes::{any_cause, cause, causes},
};
use super::{
    Cgroup, Clock, DiagEntry, Endpoint, Endpoints, Family, Host, Known, Mono, Name, Owner, Protocol, State,
    Task,
};

/// An ordinary host.
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

/// A process of an ordinary user.
pub fn task(pid: u32, comm: &str) -> Task {
    Task { pid, uid: 1000, comm: Name::from_bytes(comm.as_bytes()) }
}

/// That process as an owner in cgroup 9, whose path is not known.
pub fn owner(pid: u32, comm: &str, known: Known) -> Owner {
    Owner { task: Some(task(pid, comm)), cgroup: Some(Cgroup { id: 9, path: None }), known }
}

/// `address:port`, in which port 0 means none.
pub fn endpoint(text: &str) -> Endpoint {
    text.parse::<SocketAddr>().expect("an address in a test").into()
}

/// Two of them.
pub fn ends(local: &str, remote: &str) -> Endpoints {
    Endpoints { local: endpoint(local), remote: endpoint(remote) }
}

/// A row of sock_diag's list in namespace 1; nobody holds a descriptor.
pub fn listed(cookie: u64, state: State, local: &str, remote: &str) -> DiagEntry {
    DiagEntry {
        cookie,
        netns: 1,
        protocol: Protocol::Tcp,
        family: Family::Ipv4,
        ends: ends(local, remote),
        state,
        owner: Owner::nobody(),
        expires: None,
    }
}

impl DiagEntry {
    /// This process holds a descriptor of it, by /proc.
    pub fn held_by(self, pid: u32, comm: &str) -> Self {
        Self { owner: Arc::new(owner(pid, comm, Known::Inferred)), ..self }
    }
}
