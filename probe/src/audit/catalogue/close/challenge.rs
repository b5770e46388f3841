//! Segments that do not fit a connection that is open.

use State::{Close, Established, Listen, SynRecv, SynSent};

use super::LISTENER;
use crate::{
    audit::{Behaviour, Need, harness::SERVER},
    model::{Segment, Side, State},
    scenario::Step as _,
    wire::Rule,
};

/// The client's port, before it is lost and after.
const PORT: u16 = 4711;

pub const BEHAVIOURS: &[Behaviour] = &[Behaviour {
    id: "close/syn-in-established",
    description: "a client is lost without a word, and connects again from the same port",
    needs: &[Need::Wire],
    steps: |harness| {
        let ends = harness.ends()?;
        let before = ends.b.counters()?;
        let listener = harness.listener(&ends.b, "listener")?;
        let client = harness.bound(&ends.a, "client", PORT)?;
        harness.connect(&client, ends.b.port(SERVER)).step("client: connecting")?;
        let server = harness.accept(&listener, "server")?;
        let word = ends.wire.add(Rule::drop(Segment::is_rst).sent_by(Side::A));
        client.tcp.reset_on_close().step("client: setting SO_LINGER")?;
        let client = harness.close(client);
        harness.until(client, Close)?;
        ends.shows(Side::A, Segment::is_rst)?;
        ends.wire.lift(word);

        let again = harness.bound(&ends.a, "again", PORT)?;
        let connected = harness.connect(&again, ends.b.port(SERVER));
        harness.says("connect", &connected);
        let second = harness.accept(&listener, "second server")?;
        harness.until(&second, Established)?;
        harness.until(&server, Close)?;
        let read = harness.read(&server);
        harness.says("server reads", &read);
        harness.until_risen(&ends.b, &before, "TCPChallengeACK")?;
        harness.until_risen(&ends.b, &before, "TCPSYNChallenge")?;
        // Beside these, side B sends the challenge: a bare ACK, which side A's second RST answers.
        harness.state("sent by side a", ends.carried(Side::A));
        Ok(())
    },
    paths: &[
        LISTENER,
        ("client", &[Close, SynSent, Established, Close]),
        ("server", &[Listen, SynRecv, Established, Close]),
        ("again", &[Close, SynSent, Established]),
        ("second server", &[Listen, SynRecv, Established]),
    ],
    facts: &[
        ("connect", "success"),
        ("server reads", "ECONNRESET"),
        ("TCPChallengeACK", "rises"),
        ("TCPSYNChallenge", "rises"),
        ("sent by side a", "SYN, RST+ACK, SYN, RST"),
    ],
    reference: "RFC 9293 §3.10.7.4, fourth; RFC 5961 §4",
    ..Behaviour::BLANK
}];
