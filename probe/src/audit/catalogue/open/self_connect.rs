//! Sockets that are connected to themselves.

use State::{Close, Established, SynRecv, SynSent};

use crate::{
    audit::{Behaviour, Requirement, catalogue::paths::LISTENER, harness::SERVER_PORT},
    model::{Family, State},
    net::{Tcp, sysctl},
    scenario::Step as _,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/self-connect",
        description: "a socket connects to the port that it is bound to, and so to itself",
        needs: &[Requirement::SimultaneousOpen],
        steps: |harness| {
            let host = harness.host()?;
            let socket = harness.bound_socket(&host, "self", SERVER_PORT)?;
            let connected = harness.connect(&socket, host.endpoint(SERVER_PORT));
            harness.observe_result("connect", &connected);
            harness.wait_for_state(&socket, Established)?;
            let read = socket
                .tcp
                .write_once(b"I love you.")
                .and_then(|_| socket.tcp.read_exact(11, harness.deadline()));
            harness.observe("reads its own data", read.is_ok_and(|data| data == b"I love you."));
            Ok(())
        },
        paths: &[("self", &[Close, SynSent, SynRecv, Established])],
        facts: &[("connect", "success"), ("reads its own data", "true")],
        reference: "RFC 9293 §3.5: its own SYN is the second SYN of a simultaneous open",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/self-connect-autobound",
        description: "the kernel chooses the destination port as the local port, and the socket connects to \
                      itself",
        needs: &[Requirement::SimultaneousOpen, Requirement::Sysctl("ip_local_port_range")],
        steps: |harness| {
            let host = harness.host()?;
            host.set_sysctl(sysctl::IP_LOCAL_PORT_RANGE, &(SERVER_PORT..=SERVER_PORT))?;
            let socket = harness.socket(&host, "self")?;
            let connected = harness.connect(&socket, host.endpoint(SERVER_PORT));
            harness.observe_result("connect", &connected);
            harness.wait_for_state(&socket, Established)?;
            harness.observe_port_leaving_close(&socket)
        },
        paths: &[("self", &[Close, SynSent, SynRecv, Established])],
        facts: &[("connect", "success"), ("local port on leaving CLOSE", "none")],
        reference: "__inet_hash_connect in net/ipv4/inet_hashtables.c does not exclude the remote port",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/self-connect-parity",
        description: "a connect to a closed local port becomes a self-connect if the port has the parity \
                      that connect tries first, or if no port of that parity is free",
        needs: &[Requirement::SimultaneousOpen, Requirement::Sysctl("ip_local_port_range")],
        steps: |harness| {
            let host = harness.host()?;
            host.set_sysctl(sysctl::IP_LOCAL_PORT_RANGE, &(SERVER_PORT..=SERVER_PORT + 1))?;
            let (even, odd) = (host.endpoint(SERVER_PORT), host.endpoint(SERVER_PORT + 1));
            for label in ["odd, first", "odd, second", "odd, third"] {
                let other = harness.socket(&host, label)?;
                let connected = harness.connect(&other, odd);
                harness.observe_result(label, &connected);
                harness.wait_for_state(&other, Close)?;
            }
            let holder = host.unobserved_socket()?;
            holder.bind(even).step("binding to the even port")?;
            let without_even = harness.socket(&host, "odd, even port in use")?;
            let connected = harness.connect(&without_even, odd);
            harness.observe_result("odd, even port in use", &connected);
            harness.wait_for_state(&without_even, Established)?;
            drop(holder);
            let socket = harness.socket(&host, "even")?;
            let connected = harness.connect(&socket, even);
            harness.observe_result("even", &connected);
            harness.wait_for_state(&socket, Established)
        },
        paths: &[
            ("odd, first", &[Close, SynSent, Close]),
            ("odd, second", &[Close, SynSent, Close]),
            ("odd, third", &[Close, SynSent, Close]),
            ("odd, even port in use", &[Close, SynSent, SynRecv, Established]),
            ("even", &[Close, SynSent, SynRecv, Established]),
        ],
        facts: &[
            ("odd, first", "ECONNREFUSED"),
            ("odd, second", "ECONNREFUSED"),
            ("odd, third", "ECONNREFUSED"),
            ("odd, even port in use", "success"),
            ("even", "success"),
        ],
        reference: "__inet_hash_connect in net/ipv4/inet_hashtables.c: first the ports with the parity of \
                    the range's lower end",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/self-connect-over-listener",
        description: "a self-connect takes precedence over a listener on the same port",
        needs: &[Requirement::SimultaneousOpen],
        steps: |harness| {
            let host = harness.host()?;
            let [listener, socket] = [harness.socket(&host, "listener")?, harness.socket(&host, "self")?];
            for socket in [&listener, &socket] {
                socket.tcp.reuse_port().step("setting SO_REUSEPORT")?;
                harness.bind(socket, host.endpoint(SERVER_PORT)).step("binding")?;
            }
            listener.tcp.listen(16).step("listening")?;
            let connected = harness.connect(&socket, host.endpoint(SERVER_PORT));
            harness.observe_result("connect", &connected);
            harness.wait_for_state(&socket, Established)?;
            harness.observe("local equals remote", socket.tcp.local() == socket.tcp.remote());
            let accepted = listener.tcp.accept_once();
            harness.observe_result("accept", &accepted);
            Ok(())
        },
        paths: &[LISTENER, ("self", &[Close, SynSent, SynRecv, Established])],
        facts: &[("connect", "success"), ("local equals remote", "true"), ("accept", "EAGAIN")],
        reference: "__inet_lookup in include/net/inet_hashtables.h: established sockets before listeners",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/self-connect-ipv6",
        description: "a socket connects to itself on ::1, and on the IPv4-mapped address ::ffff:127.0.0.1",
        needs: &[Requirement::SimultaneousOpen, Requirement::Ipv6],
        steps: |harness| {
            let host = harness.host()?;
            for (label, address) in [("::1", "[::1]:1314"), ("mapped", "[::ffff:127.0.0.1]:1315")] {
                let socket = harness.socket_with(&host, label, || Tcp::new(Family::Ipv6))?;
                let address = address.parse().step("parsing an address")?;
                harness.bind(&socket, address).step(format!("{label}: binding"))?;
                let connected = harness.connect(&socket, address);
                harness.observe_result(label, &connected);
                harness.wait_for_state(&socket, Established)?;
            }
            Ok(())
        },
        paths: &[
            ("::1", &[Close, SynSent, SynRecv, Established]),
            ("mapped", &[Close, SynSent, SynRecv, Established]),
        ],
        facts: &[("::1", "success"), ("mapped", "success")],
        reference: "RFC 9293 §3.5; RFC 4291 §2.5.5.2",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/same-port-other-address",
        description: "a connect from 127.0.0.1 to the same port of 127.0.0.2 is not a self-connect and is \
                      refused",
        steps: |harness| {
            let host = harness.host()?;
            let client = harness.bound_socket(&host, "client", SERVER_PORT)?;
            let connected = harness.connect(&client, ([127, 0, 0, 2], SERVER_PORT).into());
            harness.observe_result("connect", &connected);
            harness.wait_for_state(&client, Close)
        },
        paths: &[("client", &[Close, SynSent, Close])],
        facts: &[("connect", "ECONNREFUSED")],
        reference: "RFC 9293 §3.10.7.1",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "open/self-connect-mptcp",
        description: "an MPTCP socket connects to itself through its subflow, a TCP socket that has no \
                      descriptor",
        needs: &[Requirement::SimultaneousOpen, Requirement::Mptcp],
        steps: |harness| {
            let host = harness.host()?;
            let socket = harness.socket_with(&host, "mptcp", || Tcp::multipath(Family::Ipv4))?;
            harness.bind(&socket, host.endpoint(SERVER_PORT)).step("binding")?;
            let connected = harness.connect(&socket, host.endpoint(SERVER_PORT));
            harness.observe_result("connect", &connected);
            harness.wait_for_state(&socket, Established)
        },
        paths: &[
            ("mptcp", &[Close, SynSent, Established]),
            ("other socket 1", &[Close, SynSent, SynRecv, Established]),
        ],
        facts: &[("connect", "success")],
        reference: "mptcp_connect in net/mptcp/protocol.c; RFC 8684 §3.7: it falls back to TCP",
        ..Behaviour::DEFAULT
    },
];
