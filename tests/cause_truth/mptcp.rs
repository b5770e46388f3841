//! MPTCP over the loopback device, with a kernel on both sides.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};

use probe::{model::Family, net::Tcp};

use super::{
    host::{Host, deadline},
    matrix::Event,
};
use crate::kernel_trace::Trace;

/// A listener, a client and the socket that it accepted.
struct Pair<'a> {
    host: &'a Host,
    family: Family,
    address: SocketAddr,
    listener: Option<Tcp>,
    client: Option<Tcp>,
    server: Option<Tcp>,
}

/// Which of the three sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Listener,
    Client,
    Server,
}

impl<'a> Pair<'a> {
    fn listening(host: &'a Host, family: Family, label: &str) -> Self {
        let ip: IpAddr = match family {
            Family::Ipv4 => Ipv4Addr::LOCALHOST.into(),
            Family::Ipv6 => Ipv6Addr::LOCALHOST.into(),
        };
        let address = SocketAddr::new(ip, host.take_port(label));
        let listen = || {
            let listener = Tcp::multipath(family).unwrap();
            listener.bind(address).unwrap();
            listener.listen(8).unwrap();
            listener
        };
        let listener = Some(host.inside.enter(listen).unwrap());
        Self { host, family, address, listener, client: None, server: None }
    }

    /// `create` makes the client: of MPTCP, or of TCP, which the listener accepts as such.
    fn connect(&mut self, create: impl FnOnce(Family) -> Tcp + Send) {
        let family = self.family;
        let client = self.host.inside.enter(|| create(family)).unwrap();
        client.connect(self.address, deadline()).unwrap();
        self.client = Some(client);
    }

    fn accept(&mut self) {
        self.server = Some(self.listener.as_ref().unwrap().accept(deadline()).unwrap());
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
        // The events are a connection's; its peer is not emulated.
        let mut connection = self.host.existing(self.family, self.address);
        connection.socket = self.socket(which).take();
        event.happens(&mut connection);
        *self.socket(which) = connection.socket.take();
    }
}

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

/// Every end of each of the three sockets.
pub fn run(host: &Host, trace: &mut Trace) {
    for family in [Family::Ipv4, Family::Ipv6] {
        for which in [Which::Listener, Which::Client, Which::Server] {
            for event in EVENTS {
                if which == Which::Listener && event == Event::Abort {
                    continue;
                }
                for unread in [false, true] {
                    let text = if unread { ", with unread data" } else { "" };
                    let mut pair =
                        Pair::listening(host, family, &format!("MPTCP {which:?}: {event:?}{text}"));
                    pair.connect(|family| Tcp::multipath(family).unwrap());
                    if which != Which::Listener || unread {
                        pair.accept();
                    }
                    if unread && which != Which::Listener {
                        exchange(&pair);
                    }
                    pair.happens(event, which);
                    finish(pair, trace);
                }
            }
        }
        let mut alone = Pair::listening(host, family, "MPTCP listener and TCP client");
        alone.connect(|family| Tcp::new(family).unwrap());
        alone.accept();
        finish(alone, trace);
        let mut refused = Pair::listening(host, family, "MPTCP: refused");
        drop(refused.listener.take());
        let client = host.inside.enter(|| Tcp::multipath(family).unwrap()).unwrap();
        client.connect(refused.address, deadline()).unwrap_err();
        drop(host.inside.enter(|| Tcp::multipath(family).unwrap()).unwrap());
        let mut both = Pair::listening(host, family, "MPTCP: both shut down");
        both.connect(|family| Tcp::multipath(family).unwrap());
        both.accept();
        both.client.as_ref().unwrap().shutdown(Shutdown::Write).unwrap();
        both.server.as_ref().unwrap().shutdown(Shutdown::Write).unwrap();
        finish(both, trace);
    }
}

/// Both sides have data to read.
fn exchange(pair: &Pair<'_>) {
    let (client, server) = (pair.client.as_ref().unwrap(), pair.server.as_ref().unwrap());
    client.write_all(b"data", deadline()).unwrap();
    server.readable(deadline()).unwrap();
    server.write_all(b"data", deadline()).unwrap();
    client.readable(deadline()).unwrap();
}

/// Closes what is open, and waits until the subflows have ended.
fn finish(pair: Pair<'_>, trace: &mut Trace) {
    let Pair { address, listener, client, server, .. } = pair;
    drop((client, server, listener));
    trace.wait("end of the subflows", |changes| {
        super::host::has_ended(changes, |change| {
            change.addresses[0] == address.ip() && change.ports.contains(&address.port())
        })
    });
}
