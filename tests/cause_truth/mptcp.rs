//! MPTCP over the loopback device, with the kernel on both sides.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr},
    process::Command,
};

use probe::{
    model::{Endpoints, Family},
    net::{Tcp, destroy::destroy},
};

use super::{
    host::{Host, deadline, has_ended},
    matrix::Event,
};
use crate::{kernel_trace::Trace, traced_link::set_sysctl};

/// One of the three sockets of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Listener,
    Client,
    Server,
}

/// What was done to a connection before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// The listener has not accepted it.
    Nothing,
    Accepted,
    /// Both processes have data to read.
    Unread,
    /// The other side has called shutdown(2).
    PeerShut,
    /// This side has.
    Shut,
}

const BEFORE: [Before; 5] =
    [Before::Nothing, Before::Accepted, Before::Unread, Before::PeerShut, Before::Shut];

const EVENTS: [Event; 9] = [
    Event::Close,
    Event::Abort,
    Event::ShutdownWr,
    Event::ShutdownRd,
    Event::ShutdownRdwr,
    Event::Exit,
    Event::Kill,
    Event::Unspec,
    Event::Unspec32,
];

/// A listener, a client and the socket that the listener accepted.
struct Pair<'a> {
    host: &'a Host,
    family: Family,
    address: SocketAddr,
    listener: Option<Tcp>,
    client: Option<Tcp>,
    server: Option<Tcp>,
}

/// Makes a socket.
type Create = fn(Family) -> Tcp;

fn multipath(family: Family) -> Tcp {
    Tcp::multipath(family).unwrap()
}

fn plain(family: Family) -> Tcp {
    Tcp::new(family).unwrap()
}

impl<'a> Pair<'a> {
    /// The listener alone, which `create` makes.
    fn listening(
        host: &'a Host,
        family: Family,
        create: impl FnOnce(Family) -> Tcp + Send,
        label: &str,
    ) -> Self {
        let ip: IpAddr = match family {
            Family::Ipv4 => Ipv4Addr::LOCALHOST.into(),
            Family::Ipv6 => Ipv6Addr::LOCALHOST.into(),
        };
        let address = SocketAddr::new(ip, host.take_port(label));
        let listen = || {
            let listener = create(family);
            listener.bind(address).unwrap();
            listener.listen(8).unwrap();
            listener
        };
        let listener = Some(host.inside.enter(listen).unwrap());
        Self { host, family, address, listener, client: None, server: None }
    }

    /// Two MPTCP sockets, as far as `before` says.
    fn with(host: &'a Host, family: Family, which: Which, before: Before, label: &str) -> Self {
        let mut pair = Self::listening(host, family, multipath, label);
        pair.connect(multipath);
        if before == Before::Nothing {
            return pair;
        }
        pair.accept();
        let (client, server) = (pair.client.as_ref().unwrap(), pair.server.as_ref().unwrap());
        let (own, peer) = if which == Which::Client { (client, server) } else { (server, client) };
        match before {
            Before::Nothing | Before::Accepted => {}
            Before::Unread => {
                pair.exchange(b"data");
                client.write_all(b"unread", deadline()).unwrap();
                server.write_all(b"unread", deadline()).unwrap();
                // One byte: there is more.
                client.read_exact(1, deadline()).unwrap();
                server.read_exact(1, deadline()).unwrap();
            }
            Before::PeerShut => {
                peer.shutdown(Shutdown::Write).unwrap();
                own.read_to_end(deadline()).unwrap();
            }
            Before::Shut => {
                own.shutdown(Shutdown::Write).unwrap();
                peer.read_to_end(deadline()).unwrap();
            }
        }
        pair
    }

    fn connect(&mut self, create: impl FnOnce(Family) -> Tcp + Send) {
        let family = self.family;
        let client = self.host.inside.enter(|| create(family)).unwrap();
        client.connect(self.address, deadline()).unwrap();
        self.client = Some(client);
    }

    fn accept(&mut self) {
        self.server = Some(self.listener.as_ref().unwrap().accept(deadline()).unwrap());
    }

    /// Each side reads what the other wrote: then both know that the other supports MPTCP, and more subflows follow.
    fn exchange(&self, bytes: &[u8]) {
        let (client, server) = (self.client.as_ref().unwrap(), self.server.as_ref().unwrap());
        for (from, to) in [(client, server), (server, client)] {
            from.write_all(bytes, deadline()).unwrap();
            to.read_exact(bytes.len(), deadline()).unwrap();
        }
    }

    fn socket(&mut self, which: Which) -> &mut Option<Tcp> {
        match which {
            Which::Listener => &mut self.listener,
            Which::Client => &mut self.client,
            Which::Server => &mut self.server,
        }
    }

    /// The event happens to one of the sockets.
    fn happens(&mut self, event: Event, which: Which) {
        // Its peer is not emulated.
        let mut connection = self.host.existing(self.family, self.address);
        connection.socket = self.socket(which).take();
        event.happens(&mut connection);
        *self.socket(which) = connection.socket.take();
    }

    /// An administrator destroys the client's first subflow.
    fn loses_subflow(&self) {
        let local = self.client.as_ref().unwrap().local().unwrap();
        let ends = Endpoints { local: local.into(), remote: self.address.into() };
        let family = self.family;
        self.host.inside.enter(|| destroy(family, ends)).unwrap().unwrap();
    }

    /// Closes what is open, and waits until every socket has ended. `None` if changes were lost.
    fn finish(mut self, trace: &mut Trace) -> Option<()> {
        drop((self.client.take(), self.server.take(), self.listener.take()));
        self.has_ended(trace)
    }

    fn has_ended(&self, trace: &mut Trace) -> Option<()> {
        let port = self.address.port();
        trace.wait("end of the subflows", |changes| has_ended(changes, |change| change.ports.contains(&port)))
    }
}

/// Every end of each of the three sockets. `None` if changes were lost.
pub fn run(host: &Host, trace: &mut Trace) -> Option<()> {
    // A second subflow for each connection whose both sides are known to support MPTCP.
    for arguments in [
        "mptcp limits set subflows 2 add_addr_accepted 2",
        "address add fd13:15::1/128 dev lo nodad",
        "mptcp endpoint add 127.0.0.2 dev lo subflow",
        "mptcp endpoint add fd13:15::1 dev lo subflow",
    ] {
        let ip = || Command::new("ip").args(arguments.split(' ')).status().unwrap();
        assert!(host.inside.enter(ip).unwrap().success(), "ip {arguments}");
    }
    // A second after the last subflow.
    set_sysctl(&host.inside, "mptcp/close_timeout", 1);
    for family in [Family::Ipv4, Family::Ipv6] {
        ends(host, family, trace)?;
        with_tcp(host, family, trace)?;
        failures(host, family, trace)?;
    }
    Some(())
}

fn ends(host: &Host, family: Family, trace: &mut Trace) -> Option<()> {
    for which in [Which::Listener, Which::Client, Which::Server] {
        for before in BEFORE {
            let is_possible = match which {
                Which::Listener => matches!(before, Before::Nothing | Before::Accepted),
                Which::Client => true,
                Which::Server => before != Before::Nothing,
            };
            for event in EVENTS.into_iter().filter(|_| is_possible) {
                // SO_LINGER is inherited by what the listener accepts.
                if which == Which::Listener && event == Event::Abort {
                    continue;
                }
                let label = format!("MPTCP {which:?} {before:?}: {event:?}");
                let mut pair = Pair::with(host, family, which, before, &label);
                pair.happens(event, which);
                pair.finish(trace)?;
            }
        }
    }
    let mut both = Pair::with(host, family, Which::Client, Before::Shut, "MPTCP: both shut down");
    both.happens(Event::ShutdownWr, Which::Server);
    both.finish(trace)
}

/// One side has no MPTCP, so that the other falls back to TCP.
fn with_tcp(host: &Host, family: Family, trace: &mut Trace) -> Option<()> {
    for which in [Which::Client, Which::Server] {
        for event in EVENTS {
            let sides: [(&str, Create, Create); 2] =
                [("client", plain, multipath), ("listener", multipath, plain)];
            for (side, server, client) in sides {
                let label = format!("MPTCP {side} and TCP, {which:?}: {event:?}");
                let mut pair = Pair::listening(host, family, server, &label);
                pair.connect(client);
                pair.accept();
                pair.exchange(b"data");
                pair.happens(event, which);
                pair.finish(trace)?;
            }
        }
    }
    Some(())
}

fn failures(host: &Host, family: Family, trace: &mut Trace) -> Option<()> {
    let mut refused = Pair::listening(host, family, multipath, "MPTCP: refused");
    drop(refused.listener.take());
    let client = host.inside.enter(|| multipath(family)).unwrap();
    client.connect(refused.address, deadline()).unwrap_err();
    drop(client);
    // Never opened.
    drop(host.inside.enter(|| multipath(family)).unwrap());
    refused.finish(trace)?;

    let nowhere: SocketAddr = match family {
        Family::Ipv4 => "192.0.2.1:7",
        Family::Ipv6 => "[2001:db8::1]:7",
    }
    .parse()
    .unwrap();
    let client = host.inside.enter(|| multipath(family)).unwrap();
    client.connect_once(nowhere).unwrap_err();
    drop(client);

    let mut abandoned = Pair::with(host, family, Which::Client, Before::Accepted, "MPTCP: subflow destroyed");
    abandoned.loses_subflow();
    drop((abandoned.server.take(), abandoned.listener.take()));
    // Its process still has the client.
    abandoned.has_ended(trace)?;
    abandoned.finish(trace)
}
