//! Listening sockets by port: the owner of a child where the kernel side does not know it.

use std::{net::IpAddr, sync::Arc};

use foldhash::HashMap;

use crate::model::{Known, Owner, SocketIdentity};

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
    pub fn add(&mut self, number: u64, identity: &SocketIdentity, owner: Arc<Owner>) {
        self.remove(number);
        let port = netns_port(identity);
        self.ports.insert(number, port);
        let listener = Listener { number, addr: identity.endpoints.local.addr, owner };
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

    /// The owner of a child, where only one process can be: in a SO_REUSEPORT group of several
    /// processes, each may.
    pub fn owner_of_child(&self, child: &SocketIdentity) -> Option<Owner> {
        let listeners = self.by_port.get(&netns_port(child))?;
        let addr = child.endpoints.local.canonical().addr;
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

fn netns_port(identity: &SocketIdentity) -> NetnsPort {
    (identity.netns, identity.endpoints.local.port_or_zero())
}
