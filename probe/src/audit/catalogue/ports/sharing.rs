//! Listening on a port and connecting from it.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness,
        catalogue::paths::LISTENER,
        harness::{SERVER_PORT, TestHost, TestSocket},
    },
    model::State,
    net::{Tcp, socket},
    scenario::{Step as _, StepError},
};

/// The port that the listener and the client share.
const SHARED_PORT: u16 = SERVER_PORT + 1;

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "ports/listen-and-connect",
        description: "a listener and a client share a local port with SO_REUSEADDR if both bind before the \
                      first listens",
        steps: |harness| {
            let host = harness.host()?;
            let destination = harness.listener(&host, "destination")?;

            let listener = sharing_socket(harness, &host, "listener", Tcp::reuse_address)?;
            let client = sharing_socket(harness, &host, "client", Tcp::reuse_address)?;
            harness.bind(&listener, host.endpoint(SHARED_PORT)).step("listener: binding")?;
            harness.bind(&client, host.endpoint(SHARED_PORT)).step("client: binding")?;
            let listening = listener.tcp.listen(1);
            harness.observe_result("listen after both binds", &listening);
            let connected = harness.connect(&client, host.endpoint(SERVER_PORT));
            harness.observe_result("connect", &connected);
            let server = harness.accept(&destination, "server")?;
            let third = host.unobserved_socket()?;
            third.reuse_address().step("setting SO_REUSEADDR")?;
            let bound = third.bind(host.endpoint(SHARED_PORT));
            harness.observe_result("bind after listen", &bound);

            harness.wait_for_state(&listener, Listen)?;
            harness.wait_for_state(&client, Established)?;
            harness.wait_for_state(&server, Established)
        },
        paths: &[
            ("destination", &[Close, Listen]),
            LISTENER,
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[
            ("listen after both binds", "success"),
            ("connect", "success"),
            ("bind after listen", "EADDRINUSE"),
        ],
        reference: "socket(7), SO_REUSEADDR",
        ..Behaviour::DEFAULT
    },
    Behaviour {
        id: "ports/listen-and-connect-reuse-port",
        description: "a listener and a client share a local port with SO_REUSEPORT, in any order of the \
                      calls",
        steps: |harness| {
            let host = harness.host()?;
            let destination = harness.listener(&host, "destination")?;
            let listener = sharing_socket(harness, &host, "listener", Tcp::reuse_port)?;
            harness.bind(&listener, host.endpoint(SHARED_PORT)).step("listener: binding")?;
            listener.tcp.listen(1).step("listener: listening")?;
            let client = sharing_socket(harness, &host, "client", Tcp::reuse_port)?;
            let bound = harness.bind(&client, host.endpoint(SHARED_PORT));
            harness.observe_result("bind after listen", &bound);
            let connected = harness.connect(&client, host.endpoint(SERVER_PORT));
            harness.observe_result("connect", &connected);
            let server = harness.accept(&destination, "server")?;
            harness.wait_for_state(&listener, Listen)?;
            harness.wait_for_state(&client, Established)?;
            harness.wait_for_state(&server, Established)
        },
        paths: &[
            ("destination", &[Close, Listen]),
            LISTENER,
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[("bind after listen", "success"), ("connect", "success")],
        reference: "socket(7), SO_REUSEPORT",
        ..Behaviour::DEFAULT
    },
];

/// A socket with the option that `share` sets.
fn sharing_socket(
    harness: &mut Harness,
    host: &TestHost,
    label: &'static str,
    share: fn(&Tcp) -> socket::Result<()>,
) -> Result<TestSocket, StepError> {
    let socket = harness.socket(host, label)?;
    share(&socket.tcp).step(format!("{label}: setting an option"))?;
    Ok(socket)
}
