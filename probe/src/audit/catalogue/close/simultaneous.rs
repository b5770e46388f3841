//! Both ends close at once, or one end is both.

use State::{Close, Closing, Established, FinWait1, Listen, SynRecv, SynSent};

use super::LISTENER;
use crate::{
    audit::{
        Behaviour, Bench, Need,
        bench::{Ends, Player, SERVER},
    },
    model::{Segment, Side, State},
    scenario::{Step as _, Trouble},
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/simultaneous",
        says: "two FINs cross",
        needs: &[Need::Wire],
        steps: |bench| {
            let ends = bench.ends()?;
            let [_listener, client, server] = bench.connected(&ends.a, &ends.b)?;
            fins_cross(bench, &ends, [&client, &server])?;
            bench.until(&client, Close)?;
            bench.until(&server, Close)?;
            bench.state_remains(&ends.a, &client)?;
            bench.state_remains(&ends.b, &server)?;
            bench.state("sent by the client", ends.carried(Side::A));
            bench.state("sent by the server", ends.carried(Side::B));
            Ok(())
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, Closing, Close]),
            ("server", &[Listen, SynRecv, Established, FinWait1, Closing, Close]),
        ],
        facts: &[
            ("remains of client", "TIME_WAIT"),
            ("remains of server", "TIME_WAIT"),
            ("sent by the client", "SYN, FIN+ACK"),
            ("sent by the server", "SYN+ACK, FIN+ACK"),
        ],
        reference: "RFC 9293 §3.6, figure 13",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/simultaneous-then-close",
        says: "two FINs cross, and both ends close before the ACKs come",
        needs: &[Need::Wire],
        steps: |bench| {
            let ends = bench.ends()?;
            let [_listener, client, server] = bench.connected(&ends.a, &ends.b)?;
            bench.until(&server, Established)?;
            let acks = ends.wire.add(Rule::hold(Segment::is_bare_ack));
            fins_cross(bench, &ends, [&client, &server])?;
            bench.until(&client, Closing)?;
            bench.until(&server, Closing)?;
            let (client, server) = (bench.close(client), bench.close(server));
            bench.until_times(client, 2, Closing)?;
            bench.until_times(server, 2, Closing)?;
            ends.wire.lift(acks);
            bench.until(client, Close)?;
            bench.until(server, Close)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, Closing, Closing, Close]),
            ("server", &[Listen, SynRecv, Established, FinWait1, Closing, Closing, Close]),
        ],
        reference: "RFC 9293 §3.6, figure 13; tcp_close_state sets the state that is set",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/self-connect",
        says: "a socket that is connected to itself closes, and meets its own FIN",
        needs: &[Need::Crossing],
        steps: |bench| {
            let here = bench.here()?;
            let itself = bench.bound(&here, "itself", SERVER)?;
            bench.connect(&itself, here.port(SERVER)).step("itself: connecting")?;
            let itself = bench.close(itself);
            bench.until(itself, Close)?;
            bench.state_remains(&here, itself)
        },
        paths: &[("itself", &[Close, SynSent, SynRecv, Established, FinWait1, Closing, Close])],
        facts: &[("remains of itself", "TIME_WAIT")],
        reference: "RFC 9293 §3.6, figure 13, with both ends in one",
        ..Behaviour::BLANK
    },
];

/// Both send their FINs before either is heard.
fn fins_cross(bench: &mut Bench, ends: &Ends, players: [&Player; 2]) -> Result<(), Trouble> {
    let fins = ends.wire.add(Rule::hold(Segment::is_fin));
    for player in players {
        bench.finish(player)?;
    }
    ends.both_show(Segment::is_fin)?;
    ends.wire.lift(fins);
    Ok(())
}
