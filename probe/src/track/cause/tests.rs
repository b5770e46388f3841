//! A cause for every edge.

use State::*;

use std::num::NonZeroU16;

use super::{super::testing::report, *};
use crate::model::{Errno, is_legal};

const CLOSE: u32 = 3;
const CONNECT: u32 = 42;
const SENDMSG: u32 = 46;
const SHUTDOWN: u32 = 48;
const LISTEN: u32 = 50;
const EXIT_GROUP: u32 = 231;
const READ: u32 = 0;
const IO_URING_ENTER: u32 = 426;

const FRESH: Past = Past { passive: Some(false), first_port: None, left_port: None, deferred: false };
const BOUND: Past = Past { first_port: NonZeroU16::new(50000), ..FRESH };
const CHILD: Past = Past { passive: Some(true), ..FRESH };
/// First seen in mid-life.
const OLDER: Past = Past { passive: None, ..FRESH };
const DEFERRED: Past = Past { deferred: true, ..FRESH };

/// Holds a cause against `kind: detail (errno)`.
fn check(report: Report, past: Past, expected: &str) {
    let call = report.syscall.and_then(|number| super::super::call::Calls::of("x86_64").by_number(number));
    let background = Background { past, call };
    assert_eq!(text(cause(&report, &background)), expected, "{} → {}", report.old, report.new);
}

fn text(cause: Option<Cause>) -> String {
    let Some(cause) = cause else { return "unknown".to_owned() };
    let errno = cause.errno.map(|errno| format!(" ({errno})")).unwrap_or_default();
    format!("{}: {}{errno}", cause.kind.name(), cause.detail)
}

#[test]
fn opening() {
    check(report(Close, Listen), FRESH, "call: listen");
    check(report(Close, SynSent).in_call(CONNECT), FRESH, "call: connect");
    check(report(Close, SynSent).in_call(SENDMSG), FRESH, "call: send with MSG_FASTOPEN");
    check(report(Listen, SynRecv), CHILD, "segment: child created");
    check(report(SynSent, Established), FRESH, "segment: SYN+ACK received");
    check(report(SynSent, SynRecv), FRESH, "segment: SYN received");
    check(report(SynRecv, Established), CHILD, "segment: ACK of SYN received");
}

#[test]
fn the_first_fin() {
    for old in [Established, SynRecv] {
        check(report(old, FinWait1).shut(2).in_call(SHUTDOWN), FRESH, "call: shutdown(WR)");
        check(report(old, FinWait1).shut(2), FRESH, "call: shutdown(WR)");
        check(report(old, FinWait1).shut(3).in_call(SHUTDOWN), FRESH, "call: shutdown(RDWR)");
        check(report(old, FinWait1).shut(3).in_call(CLOSE), FRESH, "call: close");
        for other in [READ, IO_URING_ENTER, CONNECT] {
            check(report(old, FinWait1).shut(3).in_call(other), FRESH, "call: close or shutdown(RDWR)");
        }
        check(report(old, FinWait1).shut(3).in_call(EXIT_GROUP), FRESH, "call: close at exit");
        check(report(old, FinWait1).shut(3), FRESH, "call: close or shutdown(RDWR)");
        check(Report { shutdown: None, ..report(old, FinWait1) }, FRESH, "call: close or shutdown");
    }
    check(report(Established, FinWait1).shut(2), DEFERRED, "call: shutdown, deferred from SYN_RECV");
}

#[test]
fn the_second_fin_and_the_answers() {
    check(report(Established, CloseWait).shut(1), FRESH, "segment: FIN received");
    check(report(SynRecv, CloseWait).shut(1), FRESH, "segment: FIN received");
    check(report(CloseWait, LastAck).shut(3).in_call(CLOSE), FRESH, "call: close");
    check(report(CloseWait, LastAck).shut(3).in_call(SHUTDOWN), FRESH, "call: shutdown");
    check(report(CloseWait, LastAck).shut(3), FRESH, "call: close or shutdown");
    for other in [READ, IO_URING_ENTER, CONNECT] {
        check(report(CloseWait, LastAck).shut(3).in_call(other), FRESH, "call: close or shutdown");
    }
    check(report(FinWait1, FinWait2).shut(2), FRESH, "segment: ACK of FIN received");
    check(report(FinWait1, Closing).shut(3), FRESH, "segment: FIN received");
    for state in [FinWait1, FinWait2, Closing, LastAck] {
        check(report(state, state).shut(3).in_call(CLOSE), FRESH, "call: close");
    }
}

#[test]
fn the_ordinary_end() {
    for state in [Closing, LastAck] {
        check(report(state, Close).shut(3).fin(), FRESH, "segment: ACK of FIN received");
        check(report(state, Close).shut(3).fin().orphaned(), FRESH, "segment: ACK of FIN received");
        check(Report { error: None, ..report(state, Close).shut(3).fin() }, FRESH, "unknown");
    }
    check(report(FinWait2, Close).shut(3).fin(), FRESH, "segment: FIN received");
    check(report(FinWait2, Close).shut(3).fin().orphaned(), FRESH, "segment: FIN received");
}

#[test]
fn what_becomes_of_a_half_closed_connection() {
    let end = |old| report(old, Close).shut(3);
    check(end(FinWait2).orphaned(), FRESH, "kernel: orphan: FIN_WAIT2 mini-socket or RST");
    check(end(FinWait1).orphaned(), FRESH, "kernel: orphan dropped: memory, or its namespace is gone");
    for old in [FinWait1, FinWait2] {
        check(end(old), FRESH, "call: close with RST (unread data or SO_LINGER 0)");
        check(Report { orphaned: None, ..end(old) }, FRESH, "unknown");
    }
}

#[test]
fn a_refusal_without_a_packet() {
    let refused = || report(SynSent, Close).counted(0, 0).in_call(CONNECT);
    let taken = "kernel: refused without a packet: 4-tuple in use (EADDRNOTAVAIL)";
    check(refused(), BOUND, taken);
    // An error that an earlier disconnect left behind is not this one's.
    check(refused().failed(Errno::ECONNRESET), BOUND, taken);
    check(refused(), FRESH, "kernel: refused without a packet");
    check(
        refused().between("127.0.0.1:0", "127.0.0.1:80"),
        FRESH,
        "kernel: refused without a packet: no local port left (EADDRNOTAVAIL)",
    );
    // The port that the kernel still shows is the last connection's.
    let again = Past { left_port: BOUND.first_port, ..FRESH };
    check(refused(), again, "kernel: refused without a packet: no local port left (EADDRNOTAVAIL)");
    check(refused().shut(3).in_call(CLOSE), FRESH, "call: close");
    check(refused().in_call(SHUTDOWN), FRESH, "call: shutdown");
    check(Report { counters: None, ..refused() }, FRESH, "kernel: refused without a packet, or disconnected");
}

#[test]
fn an_open_that_fails() {
    let failed = |errno| report(SynSent, Close).counted(1, 1).failed(errno);
    check(failed(Errno::ECONNREFUSED), FRESH, "segment: RST received (ECONNREFUSED)");
    check(
        failed(Errno::ECONNREFUSED).counted(1, 0),
        FRESH,
        "segment: ICMP port unreachable received (ECONNREFUSED)",
    );
    check(
        Report { counters: None, ..failed(Errno::ECONNREFUSED) },
        FRESH,
        "segment: RST or ICMP port unreachable received (ECONNREFUSED)",
    );
    let heard = |rst, report| Report { rst_received: Some(rst), counters: None, ..report };
    check(heard(true, failed(Errno::ECONNREFUSED)), FRESH, "segment: RST received (ECONNREFUSED)");
    check(
        heard(false, failed(Errno::ECONNREFUSED)),
        FRESH,
        "segment: ICMP port unreachable received (ECONNREFUSED)",
    );
    check(failed(Errno::ETIMEDOUT), FRESH, "timer: SYN retransmissions exhausted (ETIMEDOUT)");
    check(failed(Errno::EHOSTUNREACH), FRESH, "segment: ICMP error received (EHOSTUNREACH)");
    check(failed(Errno::ENETUNREACH), FRESH, "segment: ICMP error received (ENETUNREACH)");
    check(failed(Errno::ENOPROTOOPT), FRESH, "segment: ICMP error received (ENOPROTOOPT)");
    check(failed(Errno::ECONNABORTED), FRESH, "kernel: destroyed over sock_diag (ECONNABORTED)");
    check(report(SynSent, Close).counted(1, 0).shut(3).in_call(CLOSE), FRESH, "call: close");
    check(report(SynSent, Close).counted(1, 0).in_call(SHUTDOWN), FRESH, "call: shutdown");
    check(report(SynSent, Close).counted(1, 0).in_call(CONNECT), FRESH, "call: connect(AF_UNSPEC)");
    check(report(SynSent, Close).counted(1, 0), FRESH, "call: disconnected");
    let half = |errno| report(SynRecv, Close).failed(errno);
    check(half(Errno::ECONNRESET), FRESH, "segment: RST received (ECONNRESET)");
    check(half(Errno::ECONNREFUSED), FRESH, "segment: ICMP port unreachable received (ECONNREFUSED)");
    check(half(Errno::ETIMEDOUT), CHILD, "timer: SYN+ACK retransmissions exhausted (ETIMEDOUT)");
    check(report(SynRecv, Close), CHILD, "kernel: child discarded");
    check(report(SynRecv, Close), OLDER, "kernel: child discarded, or disconnected");
    check(report(SynSent, Close).counted(1, 0), OLDER, "call: disconnected");
    check(report(SynRecv, Close).shut(3), CHILD, "call: close with RST (unread data or SO_LINGER 0)");
}

#[test]
fn an_abrupt_end() {
    for state in [Established, CloseWait] {
        let end = || report(state, Close);
        check(end().failed(Errno::ECONNABORTED), FRESH, "kernel: destroyed over sock_diag (ECONNABORTED)");
        check(
            end().failed(Errno::ETIMEDOUT),
            FRESH,
            "timer: retransmissions, probes or keepalive exhausted (ETIMEDOUT)",
        );
        check(
            end().failed(Errno::EHOSTUNREACH),
            FRESH,
            "timer: retransmissions exhausted after an ICMP error (EHOSTUNREACH)",
        );
        check(end().shut(3), FRESH, "call: close with RST (unread data or SO_LINGER 0)");
        check(end().in_call(CONNECT), FRESH, "call: connect(AF_UNSPEC)");
        check(end().in_call(CLOSE), CHILD, "call: listener closed before accept");
        check(end(), FRESH, "call: disconnected");
        check(end(), OLDER, "call: disconnected, or listener closed before accept");
        check(Report { shutdown: None, ..end() }, FRESH, "unknown");
        check(Report { error: None, ..end() }, FRESH, "unknown");
    }
    check(report(Established, Close).failed(Errno::ECONNRESET), FRESH, "segment: RST received (ECONNRESET)");
    check(report(CloseWait, Close).failed(Errno::EPIPE), FRESH, "segment: RST received (EPIPE)");
    for state in [FinWait1, Closing, LastAck] {
        check(
            report(state, Close).failed(Errno::ETIMEDOUT),
            FRESH,
            "timer: FIN retransmissions exhausted (ETIMEDOUT)",
        );
    }
    check(report(FinWait2, Close).failed(Errno::ETIMEDOUT), FRESH, "timer: keepalive exhausted (ETIMEDOUT)");
    let reset = |bits| report(FinWait2, Close).failed(Errno::ECONNRESET).shut(bits);
    check(reset(2), FRESH, "segment: RST received (ECONNRESET)");
    check(reset(3), FRESH, "segment: RST received, or data after close (ECONNRESET)");
    check(report(Established, Close).failed(Errno(5)), FRESH, "kernel: ended with an error (EIO)");
}

/// Without BTF nothing of the socket can be read, but tcp_reset has a tracepoint of its own.
#[test]
fn an_rst_that_was_heard_needs_no_error() {
    let blind =
        |old, rst| Report { error: None, shutdown: None, rst_received: Some(rst), ..report(old, Close) };
    check(blind(SynSent, true), FRESH, "segment: RST received (ECONNREFUSED)");
    check(blind(Established, true), FRESH, "segment: RST received (ECONNRESET)");
    check(blind(CloseWait, true), FRESH, "segment: RST received (EPIPE)");
    for state in [FinWait1, FinWait2] {
        check(blind(state, true), FRESH, "segment: RST received, or data after close (ECONNRESET)");
    }
    for state in [SynSent, Established, CloseWait, FinWait1, FinWait2] {
        check(blind(state, false), FRESH, "unknown");
    }
}

#[test]
fn a_listeners_end() {
    check(report(Listen, Close).shut(3).in_call(CLOSE), FRESH, "call: close");
    check(report(Listen, Close).shut(3).in_call(EXIT_GROUP), FRESH, "call: close at exit");
    check(report(Listen, Close).in_call(SHUTDOWN), FRESH, "call: shutdown");
    check(report(Listen, Close).in_call(CONNECT), FRESH, "call: connect(AF_UNSPEC)");
    check(
        report(Listen, Close).in_call(LISTEN),
        FRESH,
        "kernel: listen refused: the port is taken (EADDRINUSE)",
    );
    check(report(Listen, Close).in_call(SENDMSG), FRESH, "kernel: destroyed over sock_diag");
    check(report(Listen, Close), FRESH, "kernel: listening ended, not by close");
    check(
        report(Close, Close).failed(Errno::ECONNABORTED),
        FRESH,
        "kernel: destroyed over sock_diag (ECONNABORTED)",
    );
    check(report(Close, Close), FRESH, "kernel: destroyed");
}

#[test]
fn mptcp_follows() {
    let mptcp = |old, new| Report { protocol: Protocol::Mptcp, ..report(old, new) };
    check(mptcp(Close, SynSent), FRESH, "call: connect");
    check(mptcp(Close, Listen), FRESH, "call: listen");
    check(mptcp(SynSent, Established), FRESH, "kernel: follows its MPTCP subflows");
    check(mptcp(Listen, Listen), FRESH, "call: listen");
    check(mptcp(Listen, Established), FRESH, "segment: child created");
    check(mptcp(Established, FinWait1), FRESH, "call: close or shutdown");
    check(mptcp(FinWait1, FinWait2), FRESH, "segment: DATA_FIN or FIN acknowledged");
    check(mptcp(Established, CloseWait), FRESH, "segment: DATA_FIN or FIN received");
}

#[test]
fn every_legal_edge_has_a_cause() {
    for old in State::ALL {
        for new in State::ALL {
            let cause = cause(&report(old, new), &Background::default()).expect("every field is told");
            let legal = is_legal(Protocol::Tcp, (old, new));
            assert!(cause.detail != "unheard of" || !legal, "{old} → {new}");
            assert!(legal || new == Close || cause.kind == Kernel, "{old} → {new}");
        }
    }
}
