//! What meets a TIME_WAIT.

use State::{Close, CloseWait, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent};

use super::LISTENER;
use crate::{
    audit::{Behaviour, Harness, Need, harness::SERVER},
    model::{Fate, Flags, Origin, Segment, Side, State},
    net::sysctl,
    scenario::{Step as _, StepError},
};

/// The client's port in the old connection and in the new one.
const PORT: u16 = 4711;

/// The end that closes first, and keeps a TIME_WAIT.
const FIRST: &[State] = &[Close, SynSent, Established, FinWait1, FinWait2, Close];
/// The end that closes after it.
const LAST: &[State] = &[Listen, SynRecv, Established, CloseWait, LastAck, Close];

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "close/syn-in-time-wait",
        description: "a SYN from the same port finds the old connection in TIME_WAIT",
        steps: |harness| {
            let here = harness.here()?;
            let listener = harness.listener(&here, "listener")?;
            let client = harness.bound(&here, "client", PORT)?;
            harness.connect(&client, here.port(SERVER)).step("client: connecting")?;
            let server = harness.accept(&listener, "server")?;
            harness.finish(&server)?;
            harness.until(&server, FinWait2)?;
            let client = harness.close(client);
            harness.until(client, Close)?;
            harness.until(&server, Close)?;
            harness.state_remains(&here, &server)?;
            let again = harness.bound(&here, "again", PORT)?;
            let connected = harness.connect(&again, here.port(SERVER));
            harness.says("connect", &connected);
            let second = harness.accept(&listener, "second server")?;
            harness.until(&again, Established)?;
            harness.until(&second, Established)?;
            let remains = harness.remains(&here, &server)?;
            harness.state("after the SYN", remains.map_or("nothing", State::name));
            Ok(())
        },
        paths: &[
            LISTENER,
            ("client", &[Close, SynSent, Established, CloseWait, LastAck, Close]),
            ("server", &[Listen, SynRecv, Established, FinWait1, FinWait2, Close]),
            ("again", &[Close, SynSent, Established]),
            ("second server", &[Listen, SynRecv, Established]),
        ],
        facts: &[("remains of server", "TIME_WAIT"), ("connect", "success"), ("after the SYN", "nothing")],
        reference: "RFC 9293 §3.6.1 (MAY-2); RFC 6191",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/rst-in-time-wait",
        description: "a RST ends a TIME_WAIT",
        needs: &[Need::Wire, Need::Sysctl("tcp_rfc1337")],
        steps: |harness| reset_time_wait(harness, false),
        paths: &[LISTENER, ("client", FIRST), ("server", LAST)],
        facts: &[("remains of client", "TIME_WAIT"), ("after the RST", "nothing")],
        reference: "RFC 9293 §3.10.7.4, second; RFC 1337; tcp(7), tcp_rfc1337",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "close/rst-in-time-wait-rfc1337",
        description: "with tcp_rfc1337 a RST does not end a TIME_WAIT",
        needs: &[Need::Wire, Need::Sysctl("tcp_rfc1337")],
        steps: |harness| reset_time_wait(harness, true),
        paths: &[LISTENER, ("client", FIRST), ("server", LAST)],
        facts: &[("remains of client", "TIME_WAIT"), ("after the RST", "TIME_WAIT")],
        reference: "RFC 1337 §3, F1; tcp(7), tcp_rfc1337",
        ..Behaviour::BLANK
    },
];

/// HostPair a connection, and sends a RST that is right in sequence to the end that is left in TIME_WAIT.
fn reset_time_wait(harness: &mut Harness, rfc1337: bool) -> Result<(), StepError> {
    let ends = harness.ends()?;
    ends.a.set(sysctl::TCP_RFC1337, &rfc1337)?;
    let [_listener, client, server] = harness.connected(&ends.a, &ends.b)?;
    harness.finish(&client)?;
    harness.until(&client, FinWait2)?;
    let server = harness.close(server);
    harness.until(&client, Close)?;
    harness.until(server, Close)?;
    harness.state_remains(&ends.a, &client)?;
    let fin = ends.shows(Side::B, Segment::is_fin)?;
    let rst = Segment { flags: Flags::RST, seq: fin.seq.wrapping_add(fin.length()), payload: 0, ..fin };
    ends.wire.inject(Side::B, &rst, b"");
    ends.wire
        .wait_for(harness.deadline(), |packets| {
            packets.iter().any(|packet| {
                packet.origin == Origin::Injected && matches!(packet.fate, Fate::Delivered { .. })
            })
        })
        .step("waiting for the RST")?;
    let remains = harness.remains(&ends.a, &client)?;
    harness.state("after the RST", remains.map_or("nothing", State::name));
    Ok(())
}
