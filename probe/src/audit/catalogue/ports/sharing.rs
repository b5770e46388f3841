//! Listening at a port and connecting from it.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness,
        harness::{SERVER, TestHost, TestSocket},
    },
    model::State,
    net::{Tcp, socket},
    scenario::{Step as _, StepError},
};

/// The port that is shared.
const SHARED: u16 = SERVER + 1;

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "ports/listen-and-connect",
        description: "one port to listen at and to connect from: with SO_REUSEADDR both are bound first",
        steps: |harness| {
            let here = harness.here()?;
            let far = harness.listener(&here, "far")?;

            let listener = sharing(harness, &here, "listener", Tcp::reuse_address)?;
            let client = sharing(harness, &here, "client", Tcp::reuse_address)?;
            harness.bind(&listener, here.port(SHARED)).step("listener: binding")?;
            harness.bind(&client, here.port(SHARED)).step("client: binding")?;
            let listening = listener.tcp.listen(1);
            harness.says("bound both, then listen", &listening);
            let connected = harness.connect(&client, here.port(SERVER));
            harness.says("then connect", &connected);
            let server = harness.accept(&far, "server")?;
            let late = here.bystander()?;
            late.reuse_address().step("setting SO_REUSEADDR")?;
            let bound = late.bind(here.port(SHARED));
            harness.says("bind after listen", &bound);

            harness.until(&listener, Listen)?;
            harness.until(&client, Established)?;
            harness.until(&server, Established)
        },
        paths: &[
            ("far", &[Close, Listen]),
            ("listener", &[Close, Listen]),
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[
            ("bound both, then listen", "success"),
            ("then connect", "success"),
            ("bind after listen", "EADDRINUSE"),
        ],
        reference: "socket(7), SO_REUSEADDR",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "ports/listen-and-connect-reuse-port",
        description: "one port to listen at and to connect from: with SO_REUSEPORT in any order",
        steps: |harness| {
            let here = harness.here()?;
            let far = harness.listener(&here, "far")?;
            let listener = sharing(harness, &here, "listener", Tcp::reuse_port)?;
            harness.bind(&listener, here.port(SHARED)).step("listener: binding")?;
            listener.tcp.listen(1).step("listener: listening")?;
            let client = sharing(harness, &here, "client", Tcp::reuse_port)?;
            let bound = harness.bind(&client, here.port(SHARED));
            harness.says("bind after listen", &bound);
            let connected = harness.connect(&client, here.port(SERVER));
            harness.says("then connect", &connected);
            let server = harness.accept(&far, "server")?;
            harness.until(&listener, Listen)?;
            harness.until(&client, Established)?;
            harness.until(&server, Established)
        },
        paths: &[
            ("far", &[Close, Listen]),
            ("listener", &[Close, Listen]),
            ("client", &[Close, SynSent, Established]),
            ("server", &[Listen, SynRecv, Established]),
        ],
        facts: &[("bind after listen", "success"), ("then connect", "success")],
        reference: "socket(7), SO_REUSEPORT",
        ..Behaviour::BLANK
    },
];

/// A socket that shares its port in this way.
fn sharing(
    harness: &mut Harness,
    here: &TestHost,
    label: &'static str,
    share: fn(&Tcp) -> socket::Result<()>,
) -> Result<TestSocket, StepError> {
    let player = harness.socket(here, label)?;
    share(&player.tcp).step(format!("{label}: setting an option"))?;
    Ok(player)
}
