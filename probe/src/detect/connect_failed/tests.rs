//! The messages and remedies of failed connects.

use std::time::Duration;

use State::*;
use proptest::prelude::*;

use super::*;
use crate::{
    detect::testing::{Simulation, connection, endpoint},
    model::{
        CloseCall, Open, Timer,
        testing::{diag_entry, host},
    },
};

const SYN_TIMEOUT: Cause = Cause::Timeout(Timer::Syn, Errno::ETIMEDOUT);
const ENDS: (&str, &str) = ("10.0.0.1:5000", "10.0.0.2:80");
const SELF: (&str, &str) = ("127.0.0.1:1314", "127.0.0.1:1314");

fn simulation() -> Simulation<ConnectFailed> {
    Simulation::new(ConnectFailed::new(&host(), true))
}

/// The message about a connect that ended in SYN_SENT for this reason; the same from its connection alone.
fn message(cause: Option<Cause>) -> String {
    let path = [Close, SynSent, Close];
    let findings = simulation().because(cause).moves(7, ENDS, &path);
    let ended = simulation().detector().ended(&connection(Open::Active, ENDS, &path, cause));
    let found = findings.first().map(|finding| finding.message.clone());
    assert_eq!(ended.map(|finding| finding.message), found);
    found.unwrap_or_else(|| "nothing".to_owned())
}

#[test]
fn the_message_says_what_ended_the_connect() {
    insta::assert_snapshot!(message(Some(Cause::RstReceived(Errno::ECONNREFUSED))), @"client[100] could not connect from 10.0.0.1:5000 to 10.0.0.2:80: refused with an RST (no process listens on that port, or a firewall rejects it)");
    insta::assert_snapshot!(message(Some(Cause::PortUnreachable)), @"client[100] could not connect from 10.0.0.1:5000 to 10.0.0.2:80: refused with an ICMP port unreachable (typically a firewall's REJECT rule)");
    insta::assert_snapshot!(message(Some(Cause::RstOrPortUnreachable)), @"client[100] could not connect from 10.0.0.1:5000 to 10.0.0.2:80: refused with an RST or an ICMP port unreachable");
    insta::assert_snapshot!(message(Some(Cause::IcmpError(Errno::EHOSTUNREACH))), @"client[100] could not connect from 10.0.0.1:5000 to 10.0.0.2:80: an ICMP error arrived: the host is unreachable, or a firewall rejects the connection (EHOSTUNREACH)");
    insta::assert_snapshot!(message(Some(Cause::IcmpError(Errno(71)))), @"client[100] could not connect from 10.0.0.1:5000 to 10.0.0.2:80: an ICMP error arrived: EPROTO");
    insta::assert_snapshot!(message(Some(Cause::IcmpErrorOrTimeout(Errno::ENETUNREACH))), @"client[100] could not connect from 10.0.0.1:5000 to 10.0.0.2:80: an ICMP error arrived or the route was lost: the network is unreachable (ENETUNREACH)");
    insta::assert_snapshot!(message(Some(Cause::Timeout(Timer::Syn, Errno::EHOSTUNREACH))), @"client[100] could not connect from 10.0.0.1:5000 to 10.0.0.2:80: timed out after an ICMP error arrived or the route was lost: the host is unreachable, or a firewall rejects the connection (EHOSTUNREACH)");
    insta::assert_snapshot!(message(Some(SYN_TIMEOUT)), @"client[100] could not connect from 10.0.0.1:5000 to 10.0.0.2:80: timed out: its SYNs went unanswered (a firewall drops them, or the host is down)");
    insta::assert_snapshot!(message(Some(Cause::Destroyed)), @"client[100] could not connect from 10.0.0.1:5000 to 10.0.0.2:80: an administrator destroyed the socket, over sock_diag (`ss -K`) or by BPF");
    insta::assert_snapshot!(message(Some(Cause::TupleInUse)), @"client[100] could not connect from 10.0.0.1:5000 to 10.0.0.2:80: EADDRNOTAVAIL before a SYN was sent: another connection or its TIME_WAIT has the same 4-tuple");
    insta::assert_snapshot!(message(Some(Cause::ConnectFailed)), @"client[100] could not connect from 10.0.0.1:5000 to 10.0.0.2:80: the kernel failed it before a SYN was sent: no route, a policy, or no memory");
}

#[test]
fn a_connect_that_its_owner_gave_up_is_no_finding() {
    for cause in [
        Some(Cause::Close(CloseCall::Close)),
        Some(Cause::ConnectUnspec),
        Some(Cause::ConnectFailedOrDisconnect),
        None,
    ] {
        assert_eq!(message(cause), "nothing");
    }
}

#[test]
fn a_timeout_counts_the_syns() {
    let mut simulation = simulation();
    let timeout = Some(SYN_TIMEOUT);
    let findings = simulation.because(timeout).having_sent(7).moves(7, ENDS, &[Close, SynSent, Close]);
    assert!(findings[0].message.contains("timed out: 7 SYNs went unanswered"), "{findings:?}");
    assert_eq!(findings[0].evidence, [1, 2]);
}

#[test]
fn port_exhaustion_has_a_remedy() {
    let unbound = ("10.0.0.1:0", "10.0.0.2:80");
    let none_left = || Some(Cause::NoLocalPort);
    let findings = simulation().because(none_left()).moves(7, unbound, &[Close, SynSent, Close]);
    insta::assert_snapshot!(findings[0].message, @"client[100] could not connect to 10.0.0.2:80: EADDRNOTAVAIL before a SYN was sent: no local port is free for this destination; net.ipv4.ip_local_port_range is 32768-60999 (28232 ports), unless the socket has a range of its own (IP_LOCAL_PORT_RANGE)");
    insta::assert_snapshot!(findings[0].remedy.as_deref().unwrap_or_default(), @r#"widen the range: sysctl -w net.ipv4.ip_local_port_range="10000 65535", and add the servers' ports in it to net.ipv4.ip_local_reserved_ports, which must leave some; where the socket set IP_LOCAL_PORT_RANGE, widen that; where TIME_WAIT holds the ports, set net.ipv4.tcp_tw_reuse=1 so that connect reuses them"#);

    let elsewhere = Host { netns: Some(2), ..host() };
    let findings = Simulation::new(ConnectFailed::new(&elsewhere, true)).because(none_left()).moves(
        7,
        unbound,
        &[Close, SynSent, Close],
    );
    assert!(findings[0].message.ends_with("no local port is free for this destination"), "{findings:?}");

    let wide = Host { ephemeral: Some(1024..=65535), ..host() };
    let findings = Simulation::new(ConnectFailed::new(&wide, true)).because(none_left()).moves(
        7,
        unbound,
        &[Close, SynSent, Close],
    );
    insta::assert_snapshot!(findings[0].remedy.as_deref().unwrap_or_default(), @"use more local addresses, or reuse connections instead of opening new ones: the port range is wide already; where TIME_WAIT holds the ports, set net.ipv4.tcp_tw_reuse=1 so that connect reuses them");
}

/// What the message says of the holder when a second socket connects with the same 4-tuple.
fn duplicate(simulation: &mut Simulation<ConnectFailed>) -> String {
    let taken = Some(Cause::TupleInUse);
    let findings = simulation.because(taken).moves(99, ENDS, &[Close, SynSent, Close]);
    findings[0].message.rsplit(": ").next().unwrap_or_default().to_owned()
}

#[test]
fn the_holder_of_the_4_tuple_is_named() {
    let mut live = simulation();
    live.moves(1, ENDS, &[Close, SynSent, Established]);
    insta::assert_snapshot!(duplicate(&mut live), @"a connection of client[100] has the same 4-tuple");
    insta::assert_snapshot!(duplicate(&mut live), @"a connection of client[100] has the same 4-tuple");

    live.because(Some(Cause::FinReceived));
    live.moves(1, ENDS, &[Established, FinWait1, FinWait2, Close]);
    live.wait(Duration::from_secs(12));
    insta::assert_snapshot!(duplicate(&mut live), @"the TIME_WAIT that client[100] left 12 s ago has the same 4-tuple");
    live.wait(Duration::from_secs(50));
    insta::assert_snapshot!(duplicate(&mut live), @"another connection or its TIME_WAIT has the same 4-tuple");

    let mut connecting = simulation();
    connecting.moves(1, ENDS, &[Close, SynSent]);
    insta::assert_snapshot!(duplicate(&mut connecting), @"a connection of client[100] has the same 4-tuple");

    let mut preexisting = simulation();
    preexisting.existing(&[diag_entry(5, Established, ENDS.0, ENDS.1).held_by(300, "daemon")]);
    insta::assert_snapshot!(duplicate(&mut preexisting), @"a connection of daemon[300] has the same 4-tuple");
}

#[test]
fn a_holder_that_is_gone_is_not_named() {
    let unknown = "another connection or its TIME_WAIT has the same 4-tuple";
    let mut reset = simulation();
    reset.because(Some(Cause::RstReceived(Errno::ECONNRESET)));
    reset.moves(1, ENDS, &[Close, SynSent, Established, Close]);
    assert_eq!(duplicate(&mut reset), unknown);
    let mut replaced = simulation();
    replaced.because(Some(Cause::FinReceived));
    replaced.moves(1, ENDS, &[Close, SynSent, Established, FinWait1, FinWait2, Close]);
    replaced.because(Some(Cause::RstReceived(Errno::ECONNRESET)));
    replaced.moves(2, ENDS, &[Close, SynSent, Established, Close]);
    assert_eq!(duplicate(&mut replaced), unknown);
    let mut lost = simulation();
    lost.moves(1, ENDS, &[Close, SynSent, Established]);
    lost.lose();
    assert_eq!(duplicate(&mut lost), unknown);
    let mut elsewhere = simulation();
    elsewhere.moves(1, ENDS, &[Close, SynSent, Established]);
    elsewhere.enter(Some(2));
    assert_eq!(duplicate(&mut elsewhere), unknown);
}

#[test]
fn an_active_open_can_fail_in_syn_recv_too() {
    let reset = || Some(Cause::RstReceived(Errno::ECONNRESET));
    let path = [Close, SynSent, SynRecv, Close];
    let mut simulation = simulation();
    simulation.moves(7, ENDS, &path[..3]);
    let findings = simulation.because(reset()).moves(7, ENDS, &path[2..]);
    insta::assert_snapshot!(findings[0].message, @"client[100] could not connect from 10.0.0.1:5000 to 10.0.0.2:80: the peer reset the connection during the handshake");
    let ended = simulation.detector().ended(&connection(Open::Simultaneous, ENDS, &path, reset()));
    assert_eq!(ended.map(|finding| finding.message).as_ref(), Some(&findings[0].message));
    assert_eq!(self::simulation().because(reset()).moves(7, SELF, &path).len(), 1);

    let accepted = [Listen, SynRecv, Close];
    assert_eq!(self::simulation().because(reset()).moves(8, ENDS, &accepted), []);
    assert_eq!(
        self::simulation().detector().ended(&connection(Open::Passive, ENDS, &accepted, reset())),
        None
    );
}

#[test]
fn an_established_connection_that_is_reset_did_connect() {
    let path = [Close, SynSent, Established, Close];
    let reset = || Some(Cause::RstReceived(Errno::ECONNRESET));
    assert_eq!(simulation().because(reset()).moves(7, ENDS, &path), []);
    assert_eq!(simulation().detector().ended(&connection(Open::Active, ENDS, &path, reset())), None);
}

#[test]
fn mptcp_fails_by_its_subflow() {
    let mut simulation = simulation();
    simulation.over(Protocol::Mptcp).because(Some(Cause::RstReceived(Errno::ECONNREFUSED)));
    assert_eq!(simulation.moves(7, ENDS, &[Close, SynSent, Close]), []);
}

/// Without a route the subflow does not leave CLOSE. Its own failure is a finding already.
#[test]
fn mptcp_that_fails_before_its_subflow_has_a_finding() {
    const NOWHERE: (&str, &str) = ("0.0.0.0:0", "0.0.0.0:0");
    let failed = Some(Cause::ConnectFailed);
    let path = [Close, SynSent, Close];
    let mut simulation = simulation();
    simulation.because(failed);
    let findings = simulation.over(Protocol::Mptcp).moves(7, NOWHERE, &path);
    insta::assert_snapshot!(findings[0].message, @"client[100] could not connect: the kernel failed its MPTCP socket before a subflow sent a SYN: no route, a policy, or no memory");
    let mut ended = connection(Open::Active, NOWHERE, &path, failed);
    ended.identity.protocol = Protocol::Mptcp;
    let of_connection = simulation.detector().ended(&ended).map(|finding| finding.message);
    assert_eq!(of_connection.as_ref(), Some(&findings[0].message));

    for cause in [Cause::NoLocalPort, Cause::TupleInUse, Cause::ConnectFailed] {
        let subflow = connection(Open::Active, ENDS, &path, Some(cause));
        assert!(simulation.detector().ended(&subflow).is_some());
        assert_eq!(simulation.detector().ended(&ended), None, "{cause:?}");
    }
    // An earlier connect of the same process.
    ended.opened = Some(Mono(10));
    ended.close.as_mut().expect("it ended").at = Mono(11);
    assert!(simulation.detector().ended(&ended).is_some());

    assert_eq!(simulation.moves(8, NOWHERE, &path[..2]), []);
    assert_eq!(simulation.over(Protocol::Tcp).because(failed).moves(9, ENDS, &path).len(), 1);
    assert_eq!(simulation.over(Protocol::Mptcp).moves(8, NOWHERE, &path[1..]), []);
}

proptest! {
    /// However many connects are refused, none leaves an entry behind.
    #[test]
    fn refusals_leave_nothing_behind(remotes in proptest::collection::vec(endpoint(), 1..50)) {
        let mut simulation = simulation();
        simulation.because(Some(Cause::RstReceived(Errno::ECONNREFUSED)));
        for (number, remote) in (0..).zip(&remotes) {
            prop_assert_eq!(simulation.moves(number, (ENDS.0, remote), &[Close, SynSent, Close]).len(), 1);
        }
        prop_assert!(simulation.detector().tuples.is_empty());
    }
}
