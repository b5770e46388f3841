//! A cause for every edge.

use State::*;

use std::num::NonZeroU16;

use super::{super::testing::report, *};
use crate::model::{CauseKind, Errno, is_legal};

const CLOSE: u32 = 3;
const CONNECT: u32 = 42;
const SENDMSG: u32 = 46;
const SHUTDOWN: u32 = 48;
const LISTEN: u32 = 50;
const EXIT_GROUP: u32 = 231;
const READ: u32 = 0;
const IO_URING_ENTER: u32 = 426;

const CLIENT: PriorReports =
    PriorReports { passive: Some(false), first_port: None, previous_port: None, deferred_shutdown: false };
const BOUND: PriorReports = PriorReports { first_port: NonZeroU16::new(50000), ..CLIENT };
const CHILD: PriorReports = PriorReports { passive: Some(true), ..CLIENT };
/// A socket whose opening was not seen.
const PREEXISTING: PriorReports = PriorReports { passive: None, ..CLIENT };
const DEFERRED: PriorReports = PriorReports { deferred_shutdown: true, ..CLIENT };

/// Compares the cause with `kind: detail (errno)`.
#[track_caller]
fn check(report: Report, prior: PriorReports, expected: &str) {
    let calls = super::super::syscall::SyscallTable::of("x86_64");
    let syscall = report.syscall.and_then(|number| calls.by_number(number));
    let context = CauseContext { prior, syscall };
    assert_eq!(text(cause(&report, &context)), expected, "{} → {}", report.old, report.new);
}

fn text(cause: Option<Cause>) -> String {
    let Some(cause) = cause else { return "unknown".to_owned() };
    let errno = cause.errno().map(|errno| format!(" ({errno})")).unwrap_or_default();
    format!("{}: {}{errno}", cause.kind().name(), cause.detail())
}

#[test]
fn each_way_of_opening_has_a_cause() {
    check(report(Close, Listen), CLIENT, "call: listen");
    check(report(Close, SynSent).in_call(CONNECT), CLIENT, "call: connect");
    check(report(Close, SynSent).in_call(SENDMSG), CLIENT, "call: send with MSG_FASTOPEN");
    check(report(Listen, SynRecv), CHILD, "segment: child created");
    check(report(SynSent, Established), CLIENT, "segment: SYN+ACK received");
    check(report(SynSent, SynRecv), CLIENT, "segment: SYN received");
    check(report(SynRecv, Established), CHILD, "segment: ACK of SYN received");
}

#[test]
fn the_first_fin_names_the_call() {
    for old in [Established, SynRecv] {
        check(report(old, FinWait1).shut(2).in_call(SHUTDOWN), CLIENT, "call: shutdown(WR)");
        check(report(old, FinWait1).shut(2), CLIENT, "call: shutdown(WR)");
        check(report(old, FinWait1).shut(3).in_call(SHUTDOWN), CLIENT, "call: shutdown(RDWR)");
        check(report(old, FinWait1).shut(3).in_call(CLOSE), CLIENT, "call: close");
        for other in [READ, IO_URING_ENTER, CONNECT] {
            check(report(old, FinWait1).shut(3).in_call(other), CLIENT, "call: close or shutdown(RDWR)");
        }
        check(report(old, FinWait1).shut(3).in_call(EXIT_GROUP), CLIENT, "call: close at exit");
        check(report(old, FinWait1).shut(3), CLIENT, "call: close or shutdown(RDWR)");
        check(Report { shutdown: None, ..report(old, FinWait1) }, CLIENT, "call: close or shutdown");
    }
    check(report(Established, FinWait1).shut(2), DEFERRED, "call: shutdown, deferred from SYN_RECV");
}

#[test]
fn the_second_fin_names_the_call_and_answers_name_the_segment() {
    check(report(Established, CloseWait).shut(1), CLIENT, "segment: FIN received");
    check(report(SynRecv, CloseWait).shut(1), CLIENT, "segment: FIN received");
    check(report(CloseWait, LastAck).shut(3).in_call(CLOSE), CLIENT, "call: close");
    check(report(CloseWait, LastAck).shut(3).in_call(SHUTDOWN), CLIENT, "call: shutdown");
    check(report(CloseWait, LastAck).shut(3), CLIENT, "call: close or shutdown");
    for other in [READ, IO_URING_ENTER, CONNECT] {
        check(report(CloseWait, LastAck).shut(3).in_call(other), CLIENT, "call: close or shutdown");
    }
    check(report(FinWait1, FinWait2).shut(2), CLIENT, "segment: ACK of FIN received");
    check(report(FinWait1, Closing).shut(3), CLIENT, "segment: FIN received");
    for state in [FinWait1, FinWait2, Closing, LastAck] {
        check(report(state, state).shut(3).in_call(CLOSE), CLIENT, "call: close");
    }
}

#[test]
fn an_ordinary_close_ends_with_the_peers_segment() {
    for state in [Closing, LastAck] {
        check(report(state, Close).shut(3).fin(), CLIENT, "segment: ACK of FIN received");
        check(report(state, Close).shut(3).fin().orphaned(), CLIENT, "segment: ACK of FIN received");
        check(Report { error: None, ..report(state, Close).shut(3).fin() }, CLIENT, "unknown");
    }
    check(report(FinWait2, Close).shut(3).fin(), CLIENT, "segment: FIN received");
    check(report(FinWait2, Close).shut(3).fin().orphaned(), CLIENT, "segment: FIN received");
}

#[test]
fn a_half_closed_connection_ends_by_orphaning_or_rst() {
    let end = |old| report(old, Close).shut(3);
    check(end(FinWait2).orphaned(), CLIENT, "kernel: orphan: FIN_WAIT2 timewait socket, or RST sent");
    check(end(FinWait1).orphaned(), CLIENT, "kernel: orphan dropped: out of memory, or netns gone");
    for old in [FinWait1, FinWait2] {
        check(end(old), CLIENT, "call: close with RST (unread data or SO_LINGER 0)");
        check(Report { orphaned: None, ..end(old) }, CLIENT, "unknown");
    }
}

#[test]
fn a_connect_that_fails_locally_says_why() {
    let refused = || report(SynSent, Close).counted(0, 0).in_call(CONNECT);
    let taken = "kernel: connect failed locally: 4-tuple in use (EADDRNOTAVAIL)";
    check(refused(), BOUND, taken);
    // tcp_disconnect left ECONNRESET in sk_err: it is not this connect's.
    check(refused().failed(Errno::ECONNRESET), BOUND, taken);
    check(refused(), CLIENT, "kernel: connect failed locally");
    check(
        refused().between("127.0.0.1:0", "127.0.0.1:80"),
        CLIENT,
        "kernel: connect failed locally: no free local port (EADDRNOTAVAIL)",
    );
    // inet_sport still holds the last connection's port.
    let again = PriorReports { previous_port: BOUND.first_port, ..CLIENT };
    check(refused(), again, "kernel: connect failed locally: no free local port (EADDRNOTAVAIL)");
    check(refused().shut(3).in_call(CLOSE), CLIENT, "call: close");
    check(refused().in_call(SHUTDOWN), CLIENT, "call: shutdown");
    check(Report { counters: None, ..refused() }, CLIENT, "kernel: connect failed locally, or disconnected");
}

#[test]
fn a_failed_open_names_rst_icmp_timer_or_call() {
    let failed = |errno| report(SynSent, Close).counted(1, 1).failed(errno);
    check(failed(Errno::ECONNREFUSED), CLIENT, "segment: RST received (ECONNREFUSED)");
    check(
        failed(Errno::ECONNREFUSED).counted(1, 0),
        CLIENT,
        "segment: ICMP port unreachable received (ECONNREFUSED)",
    );
    check(
        Report { counters: None, ..failed(Errno::ECONNREFUSED) },
        CLIENT,
        "segment: RST or ICMP port unreachable received (ECONNREFUSED)",
    );
    let with_rst = |rst, report| Report { rst_received: Some(rst), counters: None, ..report };
    check(with_rst(true, failed(Errno::ECONNREFUSED)), CLIENT, "segment: RST received (ECONNREFUSED)");
    check(
        with_rst(false, failed(Errno::ECONNREFUSED)),
        CLIENT,
        "segment: ICMP port unreachable received (ECONNREFUSED)",
    );
    check(failed(Errno::ETIMEDOUT), CLIENT, "timer: SYN retransmissions exhausted (ETIMEDOUT)");
    check(failed(Errno::EHOSTUNREACH), CLIENT, "segment: ICMP error received (EHOSTUNREACH)");
    check(failed(Errno::ENETUNREACH), CLIENT, "segment: ICMP error received (ENETUNREACH)");
    check(failed(Errno::ENOPROTOOPT), CLIENT, "segment: ICMP error received (ENOPROTOOPT)");
    check(failed(Errno::ECONNABORTED), CLIENT, "kernel: destroyed via sock_diag or BPF (ECONNABORTED)");
    check(report(SynSent, Close).counted(1, 0).shut(3).in_call(CLOSE), CLIENT, "call: close");
    check(report(SynSent, Close).counted(1, 0).in_call(SHUTDOWN), CLIENT, "call: shutdown");
    check(report(SynSent, Close).counted(1, 0).in_call(CONNECT), CLIENT, "call: connect(AF_UNSPEC)");
    check(report(SynSent, Close).counted(1, 0), CLIENT, "call: disconnected");
    let half = |errno| report(SynRecv, Close).failed(errno);
    check(half(Errno::ECONNRESET), CLIENT, "segment: RST received (ECONNRESET)");
    check(half(Errno::ECONNREFUSED), CLIENT, "segment: ICMP port unreachable received (ECONNREFUSED)");
    check(half(Errno::ETIMEDOUT), CHILD, "timer: SYN+ACK retransmissions exhausted (ETIMEDOUT)");
    check(report(SynRecv, Close), CHILD, "kernel: child discarded");
    check(report(SynRecv, Close), PREEXISTING, "kernel: child discarded, or disconnected");
    check(report(SynSent, Close).counted(1, 0), PREEXISTING, "call: disconnected");
    check(report(SynRecv, Close).shut(3), CHILD, "call: close with RST (unread data or SO_LINGER 0)");
}

#[test]
fn an_abrupt_end_names_rst_timer_or_call() {
    for state in [Established, CloseWait] {
        let end = || report(state, Close);
        check(
            end().failed(Errno::ECONNABORTED),
            CLIENT,
            "kernel: destroyed via sock_diag or BPF (ECONNABORTED)",
        );
        check(
            end().failed(Errno::ETIMEDOUT),
            CLIENT,
            "timer: retransmissions, probes or keepalive exhausted (ETIMEDOUT)",
        );
        check(
            end().failed(Errno::EHOSTUNREACH),
            CLIENT,
            "timer: retransmissions exhausted after an ICMP error (EHOSTUNREACH)",
        );
        check(end().shut(3), CLIENT, "call: close with RST (unread data or SO_LINGER 0)");
        check(end().in_call(CONNECT), CLIENT, "call: connect(AF_UNSPEC)");
        check(end().in_call(CLOSE), CHILD, "call: listener closed before accept");
        check(end(), CLIENT, "call: disconnected");
        check(end(), PREEXISTING, "call: disconnected, or listener closed before accept");
        check(Report { shutdown: None, ..end() }, CLIENT, "unknown");
        check(Report { error: None, ..end() }, CLIENT, "unknown");
    }
    check(report(Established, Close).failed(Errno::ECONNRESET), CLIENT, "segment: RST received (ECONNRESET)");
    check(report(CloseWait, Close).failed(Errno::EPIPE), CLIENT, "segment: RST received (EPIPE)");
    for state in [FinWait1, Closing, LastAck] {
        check(
            report(state, Close).failed(Errno::ETIMEDOUT),
            CLIENT,
            "timer: FIN retransmissions exhausted (ETIMEDOUT)",
        );
    }
    check(
        report(FinWait2, Close).failed(Errno::ETIMEDOUT),
        CLIENT,
        "timer: keepalive probes exhausted (ETIMEDOUT)",
    );
    let reset = |bits| report(FinWait2, Close).failed(Errno::ECONNRESET).shut(bits);
    check(reset(2), CLIENT, "segment: RST received (ECONNRESET)");
    check(reset(3), CLIENT, "segment: RST received, or data after close (ECONNRESET)");
    check(report(Established, Close).failed(Errno(5)), CLIENT, "kernel: closed with an error (EIO)");
}

/// Without BTF no field of the socket can be read, but tcp_reset has a tracepoint of its own.
#[test]
fn a_reported_rst_needs_no_sk_err() {
    let blind =
        |old, rst| Report { error: None, shutdown: None, rst_received: Some(rst), ..report(old, Close) };
    check(blind(SynSent, true), CLIENT, "segment: RST received (ECONNREFUSED)");
    check(blind(Established, true), CLIENT, "segment: RST received (ECONNRESET)");
    check(blind(CloseWait, true), CLIENT, "segment: RST received (EPIPE)");
    for state in [FinWait1, FinWait2] {
        check(blind(state, true), CLIENT, "segment: RST received, or data after close (ECONNRESET)");
    }
    for state in [SynSent, Established, CloseWait, FinWait1, FinWait2] {
        check(blind(state, false), CLIENT, "unknown");
    }
}

#[test]
fn the_end_of_a_listener_names_the_call() {
    check(report(Listen, Close).shut(3).in_call(CLOSE), CLIENT, "call: close");
    check(report(Listen, Close).shut(3).in_call(EXIT_GROUP), CLIENT, "call: close at exit");
    check(report(Listen, Close).in_call(SHUTDOWN), CLIENT, "call: shutdown");
    check(report(Listen, Close).in_call(CONNECT), CLIENT, "call: connect(AF_UNSPEC)");
    check(report(Listen, Close).in_call(LISTEN), CLIENT, "kernel: listen failed: port in use (EADDRINUSE)");
    check(report(Listen, Close).in_call(SENDMSG), CLIENT, "kernel: destroyed via sock_diag");
    check(report(Listen, Close), CLIENT, "kernel: listener stopped, not by close");
    check(
        report(Close, Close).failed(Errno::ECONNABORTED),
        CLIENT,
        "kernel: destroyed via sock_diag or BPF (ECONNABORTED)",
    );
    check(report(Close, Close), CLIENT, "kernel: destroyed after CLOSE");
}

#[test]
fn mptcp_follows_its_subflows() {
    let mptcp = |old, new| report(old, new).with_protocol(Protocol::Mptcp);
    check(mptcp(Close, SynSent), CLIENT, "call: connect");
    check(mptcp(Close, Listen), CLIENT, "call: listen");
    check(mptcp(SynSent, Established), CLIENT, "kernel: follows its MPTCP subflows");
    check(mptcp(Listen, Listen), CLIENT, "call: listen");
    check(mptcp(Listen, Established), CLIENT, "segment: child created");
    check(mptcp(Established, FinWait1), CLIENT, "call: close or shutdown");
    check(mptcp(FinWait1, FinWait2), CLIENT, "segment: ACK of DATA_FIN or FIN received");
    check(mptcp(Established, CloseWait), CLIENT, "segment: DATA_FIN or FIN received");
}

#[test]
fn every_legal_edge_has_a_cause() {
    for old in State::ALL {
        for new in State::ALL {
            let cause = cause(&report(old, new), &CauseContext::default()).expect("every field is known");
            let legal = is_legal(Protocol::Tcp, (old, new));
            assert!(cause != Cause::UnknownTransition || !legal, "{old} → {new}");
            assert!(legal || new == Close || cause.kind() == CauseKind::Kernel, "{old} → {new}");
        }
    }
}
