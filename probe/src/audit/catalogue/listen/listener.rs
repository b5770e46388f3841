//! The listening socket itself.

use std::net::Shutdown;

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness,
        harness::{SERVER_PORT, TestHost, TestSocket},
    },
    model::State,
    scenario::{Step as _, StepError},
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "listen/refused",
        description: "two sockets share a port with SO_REUSEADDR, and listen on the second one is refused",
        steps: |harness| {
            let host = harness.host()?;
            let first = reuse_address_socket(harness, &host, "first")?;
            let second = reuse_address_socket(harness, &host, "second")?;
            let results = [&first, &second].map(|socket| socket.tcp.listen(16));
            harness.observe_result("first listens", &results[0]);
            harness.observe_result("second listens", &results[1]);
            harness.wait_for_state(&second, Close)
        },
        paths: &[("first", &[Close, Listen]), ("second", &[Close, Listen, Close])],
        facts: &[("first listens", "success"), ("second listens", "EADDRINUSE")],
        reference: "listen(2); inet_csk_listen_start sets LISTEN before it reserves the port",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "listen/again",
        description: "shutdown moves a listener to CLOSE, and it can listen again",
        steps: |harness| {
            let host = harness.host()?;
            let listener = harness.listener(&host, "listener")?;
            listener.tcp.shutdown(Shutdown::Both).step("listener: shutting down")?;
            let refused = listener.tcp.accept_once();
            harness.observe_result("accept while shut down", &refused);
            listener.tcp.listen(16).step("listener: listening again")?;
            let client = harness.socket(&host, "client")?;
            harness.connect(&client, host.endpoint(SERVER_PORT)).step("client: connecting")?;
            let server = harness.accept(&listener, "server")?;
            harness.wait_for_state(&client, Established)?;
            harness.wait_for_state(&server, Established)
        },
        paths: &[
            ("listener", &[Close, Listen, Close, Listen]),
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[("accept while shut down", "EINVAL")],
        reference: "shutdown(2); inet_shutdown disconnects a listener, which stays bound to its port",
        ..Behaviour::DEFAULT
    },
];

/// A socket bound to [`SERVER_PORT`] with SO_REUSEADDR.
fn reuse_address_socket(
    harness: &mut Harness,
    host: &TestHost,
    label: &'static str,
) -> Result<TestSocket, StepError> {
    let socket = harness.socket(host, label)?;
    socket.tcp.reuse_address().step("setting SO_REUSEADDR")?;
    harness.bind(&socket, host.endpoint(SERVER_PORT)).step(format!("{label}: binding"))?;
    Ok(socket)
}
