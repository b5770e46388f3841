//! Both ends close at once, or one end is both.

use State::{Close, Closing, Established, FinWait1, Listen, SynRecv, SynSent};

use super::LISTENER;
use crate::{
    audit::{Behaviour, Need, bench::SERVER},
    model::{Segment, Side, State},
    scenario::Step as _,
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
            let fins = ends.wire.add(Rule::hold(Segment::is_fin));
            bench.finish(&client)?;
            bench.finish(&server)?;
            for side in Side::BOTH {
                ends.shows(side, Segment::is_fin)?;
            }
            ends.wire.lift(fins);
            bench.until(&client, Close)?;
            bench.until(&server, Close)?;
            bench.state_remains(&ends.a, &client)?;
            bench.state_remains(&ends.b, &server)
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, FinWait1, Closing, Close]),
            ("server", &[Listen, SynRecv, Established, FinWait1, Closing, Close]),
        ],
        facts: &[("remains of client", "TIME_WAIT"), ("remains of server", "TIME_WAIT")],
        reference: "RFC 9293 §3.6, figure 13",
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
