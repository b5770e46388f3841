//! The listening socket itself.

use std::net::Shutdown;

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness,
        harness::{SERVER, TestHost, TestSocket},
    },
    model::State,
    scenario::{Step as _, StepError},
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "listen/refused",
        description: "of two sockets that share a port by SO_REUSEADDR, the second to listen is refused",
        steps: |harness| {
            let here = harness.here()?;
            let first = shared(harness, &here, "first")?;
            let second = shared(harness, &here, "second")?;
            let listened = [&first, &second].map(|socket| socket.tcp.listen(16));
            harness.says("first listens", &listened[0]);
            harness.says("second listens", &listened[1]);
            harness.until(&second, Close)
        },
        paths: &[("first", &[Close, Listen]), ("second", &[Close, Listen, Close])],
        facts: &[("first listens", "success"), ("second listens", "EADDRINUSE")],
        reference: "listen(2); inet_csk_listen_start sets LISTEN before it asks for the port",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "listen/again",
        description: "a listener is shut down, and listens again",
        steps: |harness| {
            let here = harness.here()?;
            let listener = harness.listener(&here, "listener")?;
            listener.tcp.shutdown(Shutdown::Both).step("listener: shutting down")?;
            let refused = listener.tcp.accept_once();
            harness.says("accept while shut down", &refused);
            listener.tcp.listen(16).step("listener: listening again")?;
            let client = harness.socket(&here, "client")?;
            harness.connect(&client, here.port(SERVER)).step("client: connecting")?;
            let server = harness.accept(&listener, "server")?;
            harness.until(&client, Established)?;
            harness.until(&server, Established)
        },
        paths: &[
            ("listener", &[Close, Listen, Close, Listen]),
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[("accept while shut down", "EINVAL")],
        reference: "shutdown(2); inet_shutdown disconnects a listener, and keeps the port it was bound to",
        ..Behaviour::BLANK
    },
];

/// A socket that is bound to the port of servers, and shares it by SO_REUSEADDR.
fn shared(harness: &mut Harness, here: &TestHost, label: &'static str) -> Result<TestSocket, StepError> {
    let socket = harness.socket(here, label)?;
    socket.tcp.reuse_address().step("setting SO_REUSEADDR")?;
    harness.bind(&socket, here.port(SERVER)).step("binding")?;
    Ok(socket)
}
