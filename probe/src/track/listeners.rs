//! Listening sockets by port: whose a child is where the kernel side could not say.

use std::{net::IpAddr, sync::Arc};

use foldhash::HashMap;

use crate::model::{Endpoint, Known, Owner};

/// The listening sockets of all namespaces.
#[derive(Debug, Default)]
pub struct Listeners {
    by_place: HashMap<NetnsPort, Vec<Listener>>,
    /// Where each stands in the other map: by the end, the port may read otherwise.
    places: HashMap<u64, NetnsPort>,
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
    /// The socket of that number listens from here on.
    pub fn add(&mut self, number: u64, netns: Option<u32>, local: Endpoint, owner: Arc<Owner>) {
        self.remove(number);
        let place = place(netns, local);
        self.places.insert(number, place);
        let listener = Listener { number, addr: local.addr, owner };
        self.by_place.entry(place).or_default().push(listener);
    }

    /// It listens no more.
    pub fn remove(&mut self, number: u64) {
        let Some(place) = self.places.remove(&number) else { return };
        if let Some(here) = self.by_place.get_mut(&place) {
            here.retain(|listener| listener.number != number);
            if here.is_empty() {
                self.by_place.remove(&place);
            }
        }
    }

    /// The owner of a child that was accepted there, if only one can be it: in a SO_REUSEPORT group
    /// of several processes, each may.
    pub fn owner_of_child(&self, netns: Option<u32>, local: Endpoint) -> Option<Owner> {
        let here = self.by_place.get(&place(netns, local))?;
        let addr = local.canonical().addr;
        let mut owners = here
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

fn place(netns: Option<u32>, local: Endpoint) -> NetnsPort {
    (netns, local.port_or_zero())
}
