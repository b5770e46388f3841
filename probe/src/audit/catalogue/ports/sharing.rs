//! Listening at a port and connecting from it.

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Bench,
        bench::{Place, Player, SERVER},
    },
    model::State,
    net::{Tcp, socket},
    scenario::{Step as _, Trouble},
};

/// The port that is shared.
const SHARED: u16 = SERVER + 1;

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "ports/listen-and-connect",
        says: "one port to listen at and to connect from: with SO_REUSEADDR both are bound first",
        steps: |bench| {
            let here = bench.here()?;
            let far = bench.listener(&here, "far")?;

            let listener = sharing(bench, &here, "listener", Tcp::reuse_address)?;
            let client = sharing(bench, &here, "client", Tcp::reuse_address)?;
            bench.bind(&listener, here.port(SHARED)).step("listener: binding")?;
            bench.bind(&client, here.port(SHARED)).step("client: binding")?;
            let listening = listener.tcp.listen(1);
            bench.says("bound both, then listen", &listening);
            let connected = bench.connect(&client, here.port(SERVER));
            bench.says("then connect", &connected);
            let server = bench.accept(&far, "server")?;
            let late = here.bystander()?;
            late.reuse_address().step("setting SO_REUSEADDR")?;
            let bound = late.bind(here.port(SHARED));
            bench.says("bind after listen", &bound);

            bench.until(&listener, Listen)?;
            bench.until(&client, Established)?;
            bench.until(&server, Established)
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
        says: "one port to listen at and to connect from: with SO_REUSEPORT in any order",
        steps: |bench| {
            let here = bench.here()?;
            let far = bench.listener(&here, "far")?;
            let listener = sharing(bench, &here, "listener", Tcp::reuse_port)?;
            bench.bind(&listener, here.port(SHARED)).step("listener: binding")?;
            listener.tcp.listen(1).step("listener: listening")?;
            let client = sharing(bench, &here, "client", Tcp::reuse_port)?;
            let bound = bench.bind(&client, here.port(SHARED));
            bench.says("bind after listen", &bound);
            let connected = bench.connect(&client, here.port(SERVER));
            bench.says("then connect", &connected);
            let server = bench.accept(&far, "server")?;
            bench.until(&listener, Listen)?;
            bench.until(&client, Established)?;
            bench.until(&server, Established)
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
    bench: &mut Bench,
    here: &Place,
    label: &'static str,
    share: fn(&Tcp) -> socket::Result<()>,
) -> Result<Player, Trouble> {
    let player = bench.socket(here, label)?;
    share(&player.tcp).step(format!("{label}: setting an option"))?;
    Ok(player)
}
