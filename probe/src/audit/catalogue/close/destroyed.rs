//! Events from outside the connection: an administrator, the link.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{Behaviour, Requirement, catalogue::paths::LISTENER},
    model::State,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/destroyed",
        description: "an administrator destroys a connection, and then the listener, with SOCK_DESTROY (ss \
                      -K)",
        needs: &[Requirement::KernelConfig("CONFIG_INET_DIAG_DESTROY")],
        steps: |harness| {
            let host = harness.host()?;
            let [listener, client, server] = harness.connection(&host, &host)?;
            harness.destroy(&host, &client)?;
            harness.wait_for_state(&client, Close)?;
            harness.wait_for_state(&server, Close)?;
            let reads = [&client, &server].map(|socket| harness.read(socket));
            harness.observe_result("client reads", &reads[0]);
            harness.observe_result("server reads", &reads[1]);
            harness.destroy(&host, &listener)?;
            harness.wait_for_nth_entry(&listener, 2, Close)?;
            let accept = listener.tcp.accept_once();
            harness.observe_result("listener accepts", &accept);
            Ok(())
        },
        paths: &[
            ("listener", &[Close, Listen, Close, Close]),
            ("client", &[Close, SynSent, Established, Close]),
            ("server", &[Listen, SynRecv, Established, Close]),
        ],
        facts: &[
            ("client reads", "ECONNABORTED"),
            ("server reads", "ECONNRESET"),
            ("listener accepts", "EINVAL"),
        ],
        reference: "ss(8), --kill; tcp_abort in net/ipv4/tcp.c; RFC 9293 §3.10.5",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "close/link-down",
        description: "the link goes down and up again, and the connection stays established",
        steps: |harness| {
            let host = harness.host()?;
            let [_listener, client, server] = harness.connection(&host, &host)?;
            harness.wait_for_state(&server, Established)?;
            host.set_loopback(false)?;
            harness.observe_state(&client);
            let write = harness.write(&client, b"data");
            harness.observe_result("client writes", &write);
            host.set_loopback(true)?;
            let read = server.tcp.read_exact(4, harness.deadline());
            harness.observe_result("server reads", &read);
            harness.observe_state(&server);
            Ok(())
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[
            ("client", "ESTABLISHED"),
            ("client writes", "success"),
            ("server reads", "success"),
            ("server", "ESTABLISHED"),
        ],
        reference: "RFC 1122 §4.2.3.9: an error report of the network does not abort a connection; RFC 9293 \
                    §3.9.2.2",
        ..Behaviour::DEFAULT
    },
];
