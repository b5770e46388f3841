//! Listening sockets by port: the owner of a child where the kernel side does not know it.

use std::{net::IpAddr, sync::Arc};

use foldhash::HashMap;

use crate::model::{Endpoint, Known, Owner};

/// The listening sockets of all namespaces.
#[derive(Debug, Default)]
pub struct Listeners {
    by_port: HashMap<NetnsPort, Vec<Listener>>,
    /// The key of each listener in the other map: at its end the port may read differently.
    ports: HashMap<u64, NetnsPort>,
}

/// A namespace, and a port in it.
type NetnsPort = (Option<u32>, u16);

#[derive(Debug)]
struct Listener {
    number: u64,
    addr: IpAddr,
    owner: Arc<Owner>,
}

impl Listeners {
    /// Adds the listener with this number.
    pub fn add(&mut self, number: u64, netns: Option<u32>, local: Endpoint, owner: Arc<Owner>) {
        self.remove(number);
        let port = netns_port(netns, local);
        self.ports.insert(number, port);
        let listener = Listener { number, addr: local.addr, owner };
        self.by_port.entry(port).or_default().push(listener);
    }

    /// Removes the listener with this number.
    pub fn remove(&mut self, number: u64) {
        let Some(port) = self.ports.remove(&number) else { return };
        if let Some(listeners) = self.by_port.get_mut(&port) {
            listeners.retain(|listener| listener.number != number);
            if listeners.is_empty() {
                self.by_port.remove(&port);
            }
        }
    }

    /// The owner of a child with this local endpoint, where only one process can be: in a SO_REUSEPORT group of several
    /// processes, each may.
    pub fn owner_of_child(&self, netns: Option<u32>, local: Endpoint) -> Option<Owner> {
        let listeners = self.by_port.get(&netns_port(netns, local))?;
        let addr = local.canonical().addr;
        let mut owners = listeners
            .iter()
            .filter(|listener| listener.addr.is_unspecified() || listener.addr.to_canonical() == addr)
            .map(|listener| &listener.owner);
        let owner = owners.next()?;
        let pid = owner.task.as_ref()?.pid;
        owners
            .all(|other| other.task.as_ref().is_some_and(|task| task.pid == pid))
            .then(|| Owner { known: Known::Listener, ..(**owner).clone() })
    }
}

fn netns_port(netns: Option<u32>, local: Endpoint) -> NetnsPort {
    (netns, local.port_or_zero())
}
