//! What comes from outside: an administrator, a link.

use State::{Close, Established, Listen, SynRecv, SynSent};

use super::LISTENER;
use crate::{
    audit::{Behaviour, Need},
    model::State,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/destroyed",
        description: "an administrator ends a connection, and then the listener (SOCK_DESTROY, ss -K)",
        needs: &[Need::Option("CONFIG_INET_DIAG_DESTROY")],
        steps: |harness| {
            let here = harness.here()?;
            let [listener, client, server] = harness.connected(&here, &here)?;
            harness.destroy(&here, &client)?;
            harness.until(&client, Close)?;
            harness.until(&server, Close)?;
            let reads = [&client, &server].map(|socket| harness.read(socket));
            harness.says("client reads", &reads[0]);
            harness.says("server reads", &reads[1]);
            harness.destroy(&here, &listener)?;
            harness.until_times(&listener, 2, Close)?;
            let accept = listener.tcp.accept_once();
            harness.says("listener accepts", &accept);
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
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/link-down",
        description: "the link goes down and comes up again under a connection",
        steps: |harness| {
            let here = harness.here()?;
            let [_listener, client, server] = harness.connected(&here, &here)?;
            harness.until(&server, Established)?;
            here.loopback(false)?;
            harness.state_of(&client);
            let write = harness.write(&client, b"data");
            harness.says("client writes", &write);
            here.loopback(true)?;
            let read = server.tcp.read_exact(4, harness.deadline());
            harness.says("server reads", &read);
            harness.state_of(&server);
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
        reference: "RFC 1122 §4.2.3.9: what the network says ends no connection; RFC 9293 §3.9.2.2",
        ..Behaviour::BLANK
    },
];
