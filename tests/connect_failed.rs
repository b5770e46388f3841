//! Failed connects: their causes and owners.

use std::{
    fs,
    net::{SocketAddr, SocketAddrV4},
    thread,
};

use netlink_sys::{Socket, SocketAddr as KernelAddr, protocols::NETLINK_SOCK_DIAG};
use probe::net::Namespace;

use crate::{
    actor::Actor,
    findings::{DeafListener, namespace_with_ports, only, says},
    tracing::{BACKENDS, Stage, undisturbed},
};

/// The modes in which a failure is reported.
const VIEWS: [&str; 3] = ["", "--connections", "--only connect-failed"];

/// Makes a client fail in a new namespace per mode, observed by both backends, and checks that the finding contains
/// these words. Returns the remedies.
#[track_caller]
fn found(
    namespace: impl Fn() -> Namespace + Sync,
    words: &[&str],
    fail: impl Fn(&Stage, &Actor) + Sync,
) -> Vec<Option<String>> {
    let try_to_find = |view| {
        let inside = namespace();
        let stages =
            BACKENDS.map(|backend| Stage::of(inside.clone(), &format!("--backend {backend} {view}")));
        let client = stages[0].actor("client");
        fail(&stages[0], &client);
        // The transitions precede the call's return.
        let traces = stages.map(Stage::end);
        let reported = |kind| traces.iter().filter(|objects| objects.of(kind).count() > 0).count();
        // A kernel may hide an event from all BPF programs without counting it: seen for timers that fired
        // while a thread of pid 1 was on the CPU. Two programs on two tracepoints do not miss the
        // same event independently: if one saw it, the other must have, too.
        if reported("finding") == 0 || reported("lost") > 0 {
            return None;
        }
        let remedies = traces.each_ref().map(|objects| {
            let (message, remedy) = only(objects, "connect-failed", &client);
            says(message, words);
            says(message, &[&format!("client[{}] could not connect", client.pid())]);
            remedy.map(str::to_owned)
        });
        Some(remedies)
    };
    // Events in interrupts, such as timers, can be lost on a host that is busy with other tests.
    let find = |view| undisturbed(|| try_to_find(view));
    thread::scope(|scope| {
        let finders = VIEWS.map(|view| scope.spawn(move || find(view)));
        finders.into_iter().flat_map(|finder| finder.join().unwrap()).collect()
    })
}

fn anywhere() -> Namespace {
    Namespace::private().unwrap()
}

#[track_caller]
fn fails_with(client: &Actor, order: &str, errno: &str) {
    assert_eq!(client.tries(order), Err(errno.to_owned()));
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_port_is_closed() {
    found(anywhere, &["to 127.0.0.1:9", "RST"], |_, client| {
        fails_with(client, "connect c 127.0.0.1:9", "ECONNREFUSED");
    });
    found(anywhere, &["to [::1]:9", "RST"], |_, client| {
        fails_with(client, "connect c [::1]:9", "ECONNREFUSED");
    });
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_syn_is_not_answered() {
    let impatient = || {
        let inside = anywhere();
        // One second after the first SYN, and two after the second.
        inside.enter(|| fs::write("/proc/sys/net/ipv4/tcp_syn_retries", "1").unwrap()).unwrap();
        inside
    };
    found(impatient, &["timed out", "SYN"], |stage, client| {
        let deaf = DeafListener::inside(&stage.inside);
        fails_with(client, &format!("connect c {}", deaf.local), "ETIMEDOUT");
    });
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn no_local_port_is_free() {
    let narrow = || namespace_with_ports(40_001..=40_001);
    let remedies =
        found(narrow, &["no local port is free", "EADDRNOTAVAIL", "40001-40001"], |stage, client| {
            let server = stage.actor("server");
            server.does("listen l 127.0.0.1:5000");
            client.does("connect first 127.0.0.1:5000");
            fails_with(client, "connect second 127.0.0.1:5000", "EADDRNOTAVAIL");
        });
    for remedy in remedies {
        says(&remedy.expect("there is a remedy"), &["sysctl -w net.ipv4.ip_local_port_range="]);
    }
}

/// A namespace has no route but those of the loopback device.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn mptcp_has_no_route() {
    for (any, nowhere) in [("0.0.0.0:0", "192.0.2.1:7"), ("[::]:0", "[2001:db8::1]:7")] {
        found(anywhere, &["could not connect: ", "MPTCP", "no route"], |_, client| {
            client.does(&format!("mptcp c {any}"));
            fails_with(client, &format!("connect c {nowhere}"), "ENETUNREACH");
        });
    }
}

/// The finding is about the subflow alone.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn no_local_port_is_free_for_a_subflow() {
    let narrow = || namespace_with_ports(40_001..=40_001);
    found(narrow, &["no local port is free", "to 127.0.0.1:5000"], |stage, client| {
        let server = stage.actor("server");
        server.does("listen l 127.0.0.1:5000");
        server.does("connect first 127.0.0.1:5000");
        client.does("mptcp c 0.0.0.0:0");
        fails_with(client, "connect c 127.0.0.1:5000", "EADDRNOTAVAIL");
    });
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_four_tuple_is_in_use() {
    let words = ["EADDRNOTAVAIL", "from 127.0.0.1:7000 to 127.0.0.1:5000", "has the same 4-tuple"];
    found(anywhere, &words, |stage, client| {
        let server = stage.actor("server");
        server.does("listen l 127.0.0.1:5000");
        let holder = stage.actor("holder");
        holder.does("bind c 127.0.0.1:7000 reuseport");
        client.does("bind c 127.0.0.1:7000 reuseport");
        holder.does("connect c 127.0.0.1:5000");
        fails_with(client, "connect c 127.0.0.1:5000", "EADDRNOTAVAIL");
    });
}

/// With every transition reported, the holder is known.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_four_tuple_is_in_use_by_a_named_holder() {
    for backend in BACKENDS {
        for was_there in [false, true] {
            let inside = anywhere();
            let flags = format!("--backend {backend}");
            let early = (!was_there).then(|| Stage::of(inside.clone(), &flags));
            let [server, holder, client] =
                ["server", "holder", "client"].map(|name| Actor::inside(&inside, name));
            server.does("listen l 127.0.0.1:5000");
            holder.does("bind c 127.0.0.1:7000 reuseport");
            client.does("bind c 127.0.0.1:7000 reuseport");
            holder.does("connect c 127.0.0.1:5000");
            let stage = early.unwrap_or_else(|| Stage::of(inside, &flags));
            fails_with(&client, "connect c 127.0.0.1:5000", "EADDRNOTAVAIL");
            let objects = stage.end();
            let (message, _) = only(&objects, "connect-failed", &client);
            says(message, &[&format!("a connection of holder[{}]", holder.pid())]);
        }
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_socket_is_destroyed() {
    found(anywhere, &["sock_diag"], |stage, client| {
        let deaf = DeafListener::inside(&stage.inside);
        client.does("bind c 127.0.0.1:7000");
        client.begins(&format!("connect c {}", deaf.local));
        // The socket cannot be found before its SYN is sent.
        while !destroys(&stage.inside, "127.0.0.1:7000".parse().unwrap(), deaf.local) {
            thread::yield_now();
        }
        assert_eq!(client.ends(), Err("ECONNABORTED".to_owned()));
    });
}

/// A connect that its owner gives up has a finding of its own, which says how far it came.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_owner_gives_up() {
    for (command, call) in
        [("close c", "by close"), ("disconnect c", "by connect(AF_UNSPEC)"), ("exit", "by close at exit")]
    {
        for backend in BACKENDS {
            for view in VIEWS {
                let stage = Stage::with(&format!("--backend {backend} {view}"));
                let deaf = DeafListener::inside(&stage.inside);
                let client = stage.actor("client");
                client.does(&format!("begin-connect c {}", deaf.local));
                let pid = client.pid();
                match command {
                    "exit" => client.exits(),
                    command => drop(client.does(command)),
                }
                let objects = stage.end();
                let found: Vec<_> = objects.of("finding").collect();
                if view == "--only connect-failed" {
                    assert!(found.is_empty(), "{found:?}");
                    continue;
                }
                assert_eq!(found.len(), 1, "{backend} {view} {found:?}");
                assert_eq!(found[0]["kind"], "connect-given-up");
                assert_eq!(found[0]["owner"]["pid"], pid);
                let message = found[0]["message"].as_str().expect("a text");
                says(
                    message,
                    &["gave up connecting", &format!("to {}", deaf.local), call, "1 SYN went unanswered"],
                );
            }
        }
    }
}

/// Destroys an IPv4 connection as `ss -K` does. Returns whether it existed.
fn destroys(inside: &Namespace, local: SocketAddr, remote: SocketAddr) -> bool {
    const SOCK_DESTROY: u16 = 21;
    const REQUEST_AND_ACK: u16 = 1 | 4;
    const AF_INET_TCP: [u8; 4] = [2, 6, 0, 0];
    let end = |address: SocketAddr| match address {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(_) => panic!("{address} is not IPv4"),
    };
    let ends: [SocketAddrV4; 2] = [end(local), end(remote)];
    // struct inet_diag_req_v2: family, states, ports, addresses, no interface, no cookie.
    let mut request = [AF_INET_TCP, [0xff; 4]].concat();
    ends.iter().for_each(|end| request.extend(end.port().to_be_bytes()));
    ends.iter().for_each(|end| request.extend([&end.ip().octets()[..], &[0; 12]].concat()));
    request.extend([[0; 4], [0xff; 4], [0xff; 4]].concat());
    // struct nlmsghdr: length, type, flags, sequence and port.
    let length = u32::try_from(16 + request.len()).unwrap();
    let header =
        [&length.to_ne_bytes()[..], &SOCK_DESTROY.to_ne_bytes(), &REQUEST_AND_ACK.to_ne_bytes(), &[0; 8]];
    let message = [header.concat(), request].concat();
    let answer = inside.enter(|| {
        let socket = Socket::new(NETLINK_SOCK_DIAG).unwrap();
        socket.send_to(&message, &KernelAddr::new(0, 0), 0).unwrap();
        socket.recv_from_full().unwrap().0
    });
    // struct nlmsgerr: the error comes first.
    match i32::from_ne_bytes(answer.unwrap()[16..20].try_into().unwrap()) {
        0 => true,
        error if -error == nix::libc::ENOENT => false,
        error => panic!("SOCK_DESTROY: {}", std::io::Error::from_raw_os_error(-error)),
    }
}
