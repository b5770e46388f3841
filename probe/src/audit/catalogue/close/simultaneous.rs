//! Both ends close at once, or one end is both.

use State::{Close, Closing, Established, FinWait1, Listen, SynRecv, SynSent};

use super::LISTENER;
use crate::{
    audit::{
        Behaviour, Harness, Need,
        harness::{HostPair, SERVER, TestSocket},
    },
    model::{Segment, Side, State},
    scenario::{Step as _, StepError},
    wire::Rule,
};

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/simultaneous",
        description: "two FINs cross",
        needs: &[Need::Wire],
        steps: |harness| {
            let ends = harness.ends()?;
            let [_listener, client, server] = harness.connected(&ends.a, &ends.b)?;
            fins_cross(harness, &ends, [&client, &server])?;
            harness.until(&client, Close)?;
            harness.until(&server, Close)?;
            harness.state_remains(&ends.a, &client)?;
            harness.state_remains(&ends.b, &server)?;
            harness.state("sent by the client", ends.carried(Side::A));
            harness.state("sent by the server", ends.carried(Side::B));
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
        description: "two FINs cross, and both ends close before the ACKs come",
        needs: &[Need::Wire],
        steps: |harness| {
            let ends = harness.ends()?;
            let [_listener, client, server] = harness.connected(&ends.a, &ends.b)?;
            harness.until(&server, Established)?;
            let acks = ends.wire.add(Rule::hold(Segment::is_bare_ack));
            fins_cross(harness, &ends, [&client, &server])?;
            harness.until(&client, Closing)?;
            harness.until(&server, Closing)?;
            let (client, server) = (harness.close(client), harness.close(server));
            harness.until_times(client, 2, Closing)?;
            harness.until_times(server, 2, Closing)?;
            ends.wire.lift(acks);
            harness.until(client, Close)?;
            harness.until(server, Close)
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
        description: "a socket that is connected to itself closes, and meets its own FIN",
        needs: &[Need::Crossing],
        steps: |harness| {
            let here = harness.here()?;
            let itself = harness.bound(&here, "itself", SERVER)?;
            harness.connect(&itself, here.port(SERVER)).step("itself: connecting")?;
            let itself = harness.close(itself);
            harness.until(itself, Close)?;
            harness.state_remains(&here, itself)
        },
        paths: &[("itself", &[Close, SynSent, SynRecv, Established, FinWait1, Closing, Close])],
        facts: &[("remains of itself", "TIME_WAIT")],
        reference: "RFC 9293 §3.6, figure 13, with both ends in one",
        ..Behaviour::BLANK
    },
];

/// Both send their FINs before either is heard.
fn fins_cross(harness: &mut Harness, ends: &HostPair, players: [&TestSocket; 2]) -> Result<(), StepError> {
    let fins = ends.wire.add(Rule::hold(Segment::is_fin));
    for player in players {
        harness.finish(player)?;
    }
    ends.both_show(Segment::is_fin)?;
    ends.wire.lift(fins);
    Ok(())
}
