//! Listening sockets by port: whose a child is where the kernel side could not say.

use std::{collections::HashMap, net::IpAddr};

use crate::model::{Endpoint, Known, Owner, Transition};

/// The listening sockets of all namespaces.
#[derive(Debug, Default)]
pub struct Listeners(HashMap<(Option<u32>, u16), Vec<Listener>>);

#[derive(Debug)]
struct Listener {
    number: u64,
    addr: IpAddr,
    owner: Owner,
}

impl Listeners {
    /// A socket listens from here on.
    pub fn add(&mut self, transition: &Transition) {
        self.remove(transition);
        self.0.entry(key(transition.netns, transition.ends.local)).or_default().push(Listener {
            number: transition.socket.number,
            addr: transition.ends.local.addr,
            owner: transition.owner.clone(),
        });
    }

    /// It listens no more.
    pub fn remove(&mut self, transition: &Transition) {
        let key = key(transition.netns, transition.ends.local);
        if let Some(here) = self.0.get_mut(&key) {
            here.retain(|listener| listener.number != transition.socket.number);
            if here.is_empty() {
                self.0.remove(&key);
            }
        }
    }

    /// The owner of a child that was accepted there, if only one can be it: in a SO_REUSEPORT group
    /// of several processes, each may.
    pub fn owner_of_child(&self, netns: Option<u32>, local: Endpoint) -> Option<Owner> {
        let here = self.0.get(&key(netns, local))?;
        let addr = local.canonical().addr;
        let mut owners = here
            .iter()
            .filter(|listener| listener.addr.is_unspecified() || listener.addr.to_canonical() == addr)
            .map(|listener| &listener.owner);
        let owner = owners.next()?;
        let pid = owner.task.as_ref()?.pid;
        owners
            .all(|other| other.task.as_ref().is_some_and(|task| task.pid == pid))
            .then(|| Owner { known: Known::Listener, ..owner.clone() })
    }
}

fn key(netns: Option<u32>, local: Endpoint) -> (Option<u32>, u16) {
    (netns, local.port_or_zero())
}
