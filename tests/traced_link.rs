//! Two network namespaces with an emulated link between them, both traced.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use probe::{
    model::{Family, Packet, Side},
    net::{Namespace, Tcp},
    wire::{Link, Wire},
};

use crate::{
    objects::Objects,
    support::Running,
    tracing::{begin, end},
};

/// The port of the client and the listener.
pub const PORT: u16 = 1314;

/// The namespaces, the link and the trace.
pub struct TracedLink {
    pub running: Running,
    pub wire: Wire,
    pub link: Link,
    pub a: Namespace,
    b: Namespace,
}

impl TracedLink {
    /// A link without delay, traced with these flags.
    pub fn with(family: Family, flags: &str) -> Self {
        let [a, b] = [(); 2].map(|()| Namespace::private().unwrap());
        let link = Link::new(family);
        let wire = Wire::between(&a, &b, link).unwrap();
        Self { running: begin(flags, &[&a, &b]), wire, link, a, b }
    }

    /// A listener at side B.
    pub fn listener(&self) -> Tcp {
        let local = self.link.endpoint(Side::B, PORT);
        self.b.enter(|| Tcp::listening(local)).unwrap().unwrap()
    }

    /// Sets a sysctl under `net.ipv4` at both sides.
    pub fn set_sysctl(&self, name: &str, value: u32) {
        for inside in [&self.a, &self.b] {
            set_sysctl(inside, &format!("ipv4/{name}"), value);
        }
    }

    /// A socket at side A that is to connect to the listener.
    pub fn client(&self) -> Tcp {
        let local = self.link.endpoint(Side::A, PORT);
        self.a.enter(|| Tcp::bound(local)).unwrap().unwrap()
    }

    /// The sockets of a new connection from side A, the client's first.
    pub fn connection(&self) -> (Tcp, Tcp) {
        let listener = self.listener();
        let client = self.client();
        client.connect(self.link.endpoint(Side::B, PORT), deadline()).unwrap();
        (client, listener.accept(deadline()).unwrap())
    }

    /// The packets that this side sent.
    pub fn sent(&self, side: Side) -> Vec<Packet> {
        self.wire.packets().into_iter().filter(|packet| packet.from == side).collect()
    }

    /// Stops the trace after this many objects of a type.
    pub fn end_after(mut self, count: usize, kind: &str) -> Objects {
        for _ in 0..count {
            self.running.wait_for(kind, |object| object["type"] == kind);
        }
        end(self.running)
    }
}

/// Sets a sysctl in a namespace by its path under `/proc/sys/net`.
pub fn set_sysctl(inside: &Namespace, path: &str, value: impl Display) {
    let (path, value) = (format!("/proc/sys/net/{path}"), value.to_string());
    inside.enter(|| std::fs::write(&path, &value).unwrap()).unwrap();
}

/// The deadline of what happens at once, or after a few retransmissions.
pub fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(20)
}
