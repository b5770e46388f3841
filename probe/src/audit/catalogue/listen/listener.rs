//! The listening socket itself.

use std::net::Shutdown;

use State::{Close, Established, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Bench,
        bench::{Place, Player, SERVER},
    },
    model::State,
    scenario::{Step as _, Trouble},
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "listen/refused",
        says: "of two sockets that share a port by SO_REUSEADDR, the second to listen is refused",
        steps: |bench| {
            let here = bench.here()?;
            let first = shared(bench, &here, "first")?;
            let second = shared(bench, &here, "second")?;
            let listened = [&first, &second].map(|socket| socket.tcp.listen(16));
            bench.says("first listens", &listened[0]);
            bench.says("second listens", &listened[1]);
            bench.until(&second, Close)
        },
        paths: &[("first", &[Close, Listen]), ("second", &[Close, Listen, Close])],
        facts: &[("first listens", "success"), ("second listens", "EADDRINUSE")],
        reference: "listen(2); inet_csk_listen_start sets LISTEN before it asks for the port",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "listen/again",
        says: "a listener is shut down, and listens again",
        steps: |bench| {
            let here = bench.here()?;
            let listener = bench.listener(&here, "listener")?;
            listener.tcp.shutdown(Shutdown::Both).step("listener: shutting down")?;
            let refused = listener.tcp.accept_once();
            bench.says("accept while shut down", &refused);
            listener.tcp.listen(16).step("listener: listening again")?;
            let client = bench.socket(&here, "client")?;
            bench.connect(&client, here.port(SERVER)).step("client: connecting")?;
            let server = bench.accept(&listener, "server")?;
            bench.until(&client, Established)?;
            bench.until(&server, Established)
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
fn shared(bench: &mut Bench, here: &Place, label: &'static str) -> Result<Player, Trouble> {
    let socket = bench.socket(here, label)?;
    socket.tcp.reuse_address().step("setting SO_REUSEADDR")?;
    bench.bind(&socket, here.port(SERVER)).step("binding")?;
    Ok(socket)
}
