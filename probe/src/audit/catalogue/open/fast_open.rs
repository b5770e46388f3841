//! TCP Fast Open: data in the SYN.

use State::{Close, CloseWait, Established, FinWait1, FinWait2, Listen, SynRecv, SynSent};

use crate::{
    audit::{
        Behaviour, Harness, Need,
        harness::{HostPair, SERVER, TestSocket},
    },
    model::{Segment, Side, State},
    net::sysctl,
    scenario::{Step as _, StepError},
    wire::{Rule, RuleId},
};

/// `tcp_fastopen`: a client that asks for no cookie.
const CLIENT: u16 = 1 | 4;
/// `tcp_fastopen`: a server that asks for no cookie.
const SERVES: u16 = 2 | 0x200;
const WORDS: &[u8] = b"I love you.";

pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour {
        id: "open/fast",
        description: "a SYN with data makes the child, which can be accepted and read before the handshake ends",
        needs: &[Need::Wire, Need::Sysctl("tcp_fastopen")],
        steps: |harness| {
            let (ends, [client, child], answers) = early(harness)?;
            ends.wire.lift(answers);
            harness.until(&child, Established)?;
            harness.until(&client, Established)?;
            harness.state("sent by the client", ends.carried(Side::A));
            Ok(())
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("client", &[Close, SynSent, Established]),
            ("child", &[Listen, SynRecv, Established]),
        ],
        facts: &[("read in SYN_RECV", "true"), ("sent by the client", "SYN with data")],
        reference: "RFC 7413 §4.2",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/fast-closed-early",
        description: "a child that Fast Open made closes before the third ACK",
        needs: &[Need::Wire, Need::Sysctl("tcp_fastopen")],
        steps: |harness| {
            let (ends, [client, child], answers) = early(harness)?;
            let child = harness.close(child);
            harness.until(child, FinWait1)?;
            ends.wire.lift(answers);
            harness.until(child, Close)?;
            harness.until(&client, CloseWait)?;
            harness.state("sent by the child", ends.carried(Side::B));
            Ok(())
        },
        paths: &[
            ("listener", &[Close, Listen]),
            ("client", &[Close, SynSent, Established, CloseWait]),
            ("child", &[Listen, SynRecv, FinWait1, FinWait2, Close]),
        ],
        facts: &[("read in SYN_RECV", "true"), ("sent by the child", "SYN+ACK, FIN+ACK")],
        reference: "RFC 9293 §3.10.4, CLOSE in SYN-RECEIVED",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/fast-self-connect",
        description: "a socket that connects to itself with data in the SYN sends them again",
        needs: &[Need::Crossing, Need::Sysctl("tcp_fastopen")],
        steps: |harness| {
            let here = harness.here()?;
            here.set(sysctl::TCP_FASTOPEN, &CLIENT)?;
            let before = here.counters()?;
            let own = harness.bound(&here, "self", SERVER)?;
            harness.aims(&own, here.port(SERVER));
            own.tcp.fast_open(WORDS, here.port(SERVER)).step("self: connecting with data")?;
            harness.until(&own, Established)?;
            let echo = own.tcp.read_exact(WORDS.len(), harness.deadline());
            harness.state("reads its own words", echo.is_ok_and(|words| words == WORDS));
            let again = here.counters()?.since(&before, "RetransSegs");
            harness.state("sent again", again.is_some_and(|segments| segments > 0));
            Ok(())
        },
        paths: &[("self", &[Close, SynSent, SynRecv, Established])],
        facts: &[("reads its own words", "true"), ("sent again", "true")],
        reference: "RFC 7413 §4.2: data that the SYN+ACK does not acknowledge are sent again",
        ..Behaviour::BLANK
    },
    Behaviour {
        id: "open/fast-simultaneous",
        description: "two SYNs with data cross: both ends open, and send their data again",
        needs: &[Need::Wire, Need::Crossing, Need::Sysctl("tcp_fastopen")],
        steps: |harness| {
            let ends = harness.ends()?;
            let syns = ends.wire.add(Rule::hold(Segment::is_syn));
            let mut players = Vec::new();
            for (label, from, to) in [("a", &ends.a, &ends.b), ("b", &ends.b, &ends.a)] {
                from.set(sysctl::TCP_FASTOPEN, &CLIENT)?;
                let player = harness.bound(from, label, SERVER)?;
                harness.aims(&player, to.port(SERVER));
                player.tcp.fast_open(WORDS, to.port(SERVER)).step("connecting with data")?;
                players.push(player);
            }
            ends.both_show(Segment::is_syn)?;
            ends.wire.lift(syns);
            for (name, player) in [("a reads b's words", &players[0]), ("b reads a's words", &players[1])] {
                harness.until(player, Established)?;
                let words = player.tcp.read_exact(WORDS.len(), harness.deadline()).step("reading")?;
                harness.state(name, words == WORDS);
            }
            harness.state("sent by a", ends.carried(Side::A));
            harness.state("sent by b", ends.carried(Side::B));
            Ok(())
        },
        paths: &[
            ("a", &[Close, SynSent, SynRecv, Established]),
            ("b", &[Close, SynSent, SynRecv, Established]),
        ],
        facts: &[
            ("a reads b's words", "true"),
            ("b reads a's words", "true"),
            ("sent by a", "SYN with data, SYN+ACK, data"),
            ("sent by b", "SYN with data, SYN+ACK, data"),
        ],
        reference: "RFC 7413 §4.2; RFC 9293 §3.5, figure 7",
        ..Behaviour::BLANK
    },
];

/// A client whose SYN carried data, and the child that came of it and has read them, while the SYN+ACK is held until
/// the rule is lifted.
fn early(harness: &mut Harness) -> Result<(HostPair, [TestSocket; 2], RuleId), StepError> {
    let ends = harness.ends()?;
    ends.a.set(sysctl::TCP_FASTOPEN, &CLIENT)?;
    ends.b.set(sysctl::TCP_FASTOPEN, &SERVES)?;
    let answers = ends.wire.add(Rule::hold(Segment::is_syn_ack));
    let listener = harness.listener(&ends.b, "listener")?;
    listener.tcp.fast_open_queue(16).step("setting TCP_FASTOPEN")?;
    let client = harness.socket(&ends.a, "client")?;
    harness.aims(&client, ends.b.port(SERVER));
    client.tcp.fast_open(WORDS, ends.b.port(SERVER)).step("client: connecting with data")?;
    let child = harness.accept(&listener, "child")?;
    harness.until(&child, SynRecv)?;
    let words = child.tcp.read_exact(WORDS.len(), harness.deadline()).step("child: reading")?;
    harness.state("read in SYN_RECV", words == WORDS);
    Ok((ends, [client, child], answers))
}
