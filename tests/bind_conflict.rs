//! Which sockets keep another from binding a port: the decision in `model`, compared with what this kernel does.
//!
//! Every pair of sockets is really bound: each holder, in each state, on a port of its own, and then each socket that
//! may conflict with it.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::AsFd as _,
    thread,
    time::Instant,
};

use nix::{
    net::if_::if_nametoindex,
    unistd::{Uid, fchown},
};
use probe::{
    model::{BindOptions, Conflict, DiagEntry, Endpoints, Owner, SocketIdentity, State, conflict},
    net::{Namespace, sock_diag::SockDiag, tun::Tun},
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::support::PATIENCE;

/// The ports of the holders start here, below the ephemeral range.
const FIRST_PORT: u16 = 10_000;

/// The index of `lo` in every namespace.
const LOOPBACK: u32 = 1;

/// The local address of a socket, and whether IPV6_V6ONLY is set.
const ADDRESSES: [(&str, bool); 8] = [
    ("127.0.0.1", false),
    ("127.0.0.2", false),
    ("0.0.0.0", false),
    ("::1", false),
    ("::", false),
    ("::", true),
    ("::ffff:127.0.0.1", false),
    ("::ffff:127.0.0.2", false),
];

/// What the holder is when the other socket binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Bound,
    Listening,
    /// By an outgoing connection.
    Connected,
    /// By the TIME_WAIT of one.
    TimeWait,
    /// By an accepted connection, whose listener has closed.
    Accepted,
}

/// How a socket is bound.
#[derive(Clone, Copy, Debug)]
struct Binding {
    address: &'static str,
    v6_only: bool,
    device: u32,
    reuse_addr: bool,
    reuse_port: bool,
    uid: u32,
}

impl Binding {
    const PLAIN: Self = Self {
        address: "127.0.0.1",
        v6_only: false,
        device: 0,
        reuse_addr: false,
        reuse_port: false,
        uid: 0,
    };

    /// At each address.
    fn at_all_addresses() -> impl Iterator<Item = Self> {
        ADDRESSES.into_iter().map(|(address, v6_only)| Self { address, v6_only, ..Self::PLAIN })
    }

    /// With each combination of options, of each user.
    fn with_all_options() -> impl Iterator<Item = Self> {
        (0..8).map(|bits| Self {
            reuse_addr: bits & 1 != 0,
            reuse_port: bits & 2 != 0,
            uid: bits & 4,
            ..Self::PLAIN
        })
    }

    fn local(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address.parse().unwrap(), port)
    }

    fn options(&self) -> BindOptions {
        BindOptions {
            reuse_addr: Some(self.reuse_addr),
            reuse_port: Some(self.reuse_port),
            v6_only: Some(self.v6_only),
            device: Some(self.device),
            uid: Some(self.uid),
        }
    }

    /// A socket with these options.
    fn socket(&self) -> Socket {
        let local = self.local(0);
        let socket = Socket::new(Domain::for_address(local), Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.set_reuse_address(self.reuse_addr).unwrap();
        socket.set_reuse_port(self.reuse_port).unwrap();
        if local.is_ipv6() {
            socket.set_only_v6(self.v6_only).unwrap();
        }
        socket.bind_device_by_index_v4(std::num::NonZeroU32::new(self.device)).unwrap();
        // The kernel compares the users of sockets, which fchown(2) changes.
        fchown(socket.as_fd(), Some(Uid::from_raw(self.uid)), None).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// Whether the kernel lets a socket with these options bind the port.
    fn can_bind(&self, port: u16) -> bool {
        match self.socket().bind(&self.local(port).into()) {
            Ok(()) => true,
            Err(error) if error.raw_os_error() == Some(nix::libc::EADDRINUSE) => false,
            Err(error) => panic!("{self:?}: {error}"),
        }
    }

    /// The decision on a socket with these options and this holder.
    fn conflict(&self, holder: &DiagEntry) -> Conflict {
        let local = self.local(holder.identity.endpoints.local.port_or_zero());
        let identity = SocketIdentity::tcp(None, Endpoints::unconnected(local.into()));
        conflict(&identity, &self.options(), holder)
    }
}

/// A holder of a port, as long as this value lives.
struct Holder {
    binding: Binding,
    entry: DiagEntry,
    _sockets: Vec<Socket>,
}

impl Holder {
    fn new(binding: Binding, held: Held, port: u16, diag: &mut SockDiag) -> Self {
        let socket = binding.socket();
        socket.bind(&binding.local(port).into()).unwrap();
        let (sockets, state) = match held {
            Held::Bound => (vec![socket], State::Close),
            Held::Listening => {
                socket.listen(8).unwrap();
                (vec![socket], State::Listen)
            }
            Held::Connected => (connect(socket, &binding), State::Established),
            Held::TimeWait => {
                let sockets = connect(socket, &binding);
                let [client, server, ..] = &sockets[..] else { panic!("three sockets") };
                client.shutdown(std::net::Shutdown::Write).unwrap();
                server.shutdown(std::net::Shutdown::Write).unwrap();
                read_to_end(client);
                (Vec::new(), State::TimeWait)
            }
            Held::Accepted => {
                socket.listen(8).unwrap();
                let client = Binding { device: binding.device, ..peer_of(&binding) }.socket();
                client.connect(&reachable(binding.local(port)).into()).unwrap();
                let (accepted, _) = socket.accept().unwrap();
                (vec![accepted, client], State::Established)
            }
        };
        let rows = diag.with_local_port(port).unwrap();
        let row = rows.iter().find(|row| row.state == state);
        let row = row.unwrap_or_else(|| panic!("{binding:?} is not in {state}: {rows:?}"));
        Self { binding, entry: row.entry(1, Owner::unknown()), _sockets: sockets }
    }

    /// The entry with everything that the test knows and sock_diag does not report.
    fn completed(&self) -> DiagEntry {
        // A bind to an IPv6 address makes the socket IPv6 only.
        let local = self.binding.local(0).ip();
        let is_specific = !local.is_unspecified() && local.to_canonical().is_ipv6();
        let v6_only = Some(self.binding.v6_only || is_specific);
        // An accepted socket has the user of the process that accepted it.
        let BindOptions { device, uid, .. } = self.entry.options;
        DiagEntry {
            options: BindOptions { v6_only, device, uid, ..self.binding.options() },
            ..self.entry.clone()
        }
    }

    /// What the kernel decides on a socket. Where it is expected to bind, it may have to wait: a process that another test
    /// starts has this one's descriptors until it executes its program, so that a closed socket may still be there.
    fn decides_on(&self, socket: &Binding, expected: Conflict) -> Conflict {
        let port = self.entry.identity.endpoints.local.port_or_zero();
        let deadline = Instant::now() + PATIENCE;
        while !socket.can_bind(port) {
            if expected != Conflict::No || Instant::now() > deadline {
                return Conflict::Certain;
            }
            thread::yield_now();
        }
        Conflict::No
    }
}

/// Reads until the peer's FIN.
fn read_to_end(socket: &Socket) {
    use std::io::Read as _;
    let mut socket = socket;
    assert_eq!(socket.read(&mut [0]).unwrap(), 0);
}

/// The address at which a socket that is bound to this one can be reached.
fn reachable(local: SocketAddr) -> SocketAddr {
    let addr = match local.ip() {
        addr if !addr.is_unspecified() => addr,
        std::net::IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(addr, local.port())
}

/// A socket of the same family that binds nothing.
fn peer_of(binding: &Binding) -> Binding {
    Binding { reuse_addr: false, reuse_port: false, ..*binding }
}

/// Connects the socket to a new listener: the socket, the accepted one, the listener.
fn connect(socket: Socket, binding: &Binding) -> Vec<Socket> {
    let server = peer_of(binding);
    let listener = server.socket();
    listener.bind(&reachable(server.local(0)).into()).unwrap();
    listener.listen(8).unwrap();
    socket.connect(&listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    vec![socket, accepted, listener]
}

/// Compares the decision with the kernel's for every pair of holder and socket.
#[track_caller]
fn check(
    inside: &Namespace,
    holders: impl IntoIterator<Item = (Binding, Held)> + Send,
    sockets: impl Fn() -> Vec<Binding> + Sync,
) {
    let compare = || {
        let mut diag = SockDiag::open().unwrap();
        for (port, (binding, held)) in (FIRST_PORT..).zip(holders) {
            let holder = Holder::new(binding, held, port, &mut diag);
            for socket in sockets() {
                let known = socket.conflict(&holder.completed());
                let decided = holder.decides_on(&socket, known);
                assert_eq!(known, decided, "{socket:?} with {held:?} {binding:?}");
                let reported = socket.conflict(&holder.entry);
                let may_differ = reported == Conflict::Possible;
                assert!(
                    may_differ || reported == decided,
                    "{socket:?} with {held:?} {binding:?}: {reported:?}"
                );
            }
        }
    };
    inside.enter(compare).unwrap();
}

const STATES: [Held; 5] = [Held::Bound, Held::Listening, Held::Connected, Held::TimeWait, Held::Accepted];

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn addresses_and_ipv6_only_decide_as_in_the_kernel() {
    let holders =
        STATES.into_iter().flat_map(|held| Binding::at_all_addresses().map(move |binding| (binding, held)));
    check(&Namespace::private().unwrap(), holders, || Binding::at_all_addresses().collect());
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn reuse_options_decide_as_in_the_kernel() {
    let holders =
        STATES.into_iter().flat_map(|held| Binding::with_all_options().map(move |binding| (binding, held)));
    check(&Namespace::private().unwrap(), holders, || Binding::with_all_options().collect());
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn devices_decide_as_in_the_kernel() {
    let inside = Namespace::private().unwrap();
    let open = || (Tun::open("other").unwrap(), if_nametoindex("other").unwrap());
    let (_other, index) = inside.enter(open).unwrap();
    let with_device = || [0, LOOPBACK, index].map(|device| Binding { device, ..Binding::PLAIN });
    let holders = with_device().into_iter().flat_map(|binding| STATES.map(|held| (binding, held)));
    // Nothing is connected to the other device.
    let possible = holders
        .filter(|(binding, held)| binding.device != index || matches!(held, Held::Bound | Held::Listening));
    check(&inside, possible, || with_device().to_vec());
}
