//! The cause of every edge, by the stack and without it.

use State::*;

use std::num::NonZeroU16;

use probe_ebpf::StackFunction::{self, *};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{super::testing::report, *};
use crate::model::{CauseKind, Errno, FinalFields, KernelStack, is_legal};

mod table;

const CLOSE: u32 = 3;
const CONNECT: u32 = 42;
const SENDMSG: u32 = 46;
const SHUTDOWN: u32 = 48;
const LISTEN: u32 = 50;
const EXECVE: u32 = 59;
const EXIT_GROUP: u32 = 231;
const READ: u32 = 0;
const IO_URING_ENTER: u32 = 426;

const CLIENT: PriorReports = PriorReports {
    passive: Some(false),
    first_port: None,
    previous_port: None,
    deferred_shutdown: false,
    opened_in_repair: false,
};
const BOUND: PriorReports = PriorReports { first_port: NonZeroU16::new(50000), ..CLIENT };
const CHILD: PriorReports = PriorReports { passive: Some(true), ..CLIENT };
/// A socket whose opening was not seen.
const PREEXISTING: PriorReports = PriorReports { passive: None, ..CLIENT };
const DEFERRED: PriorReports = PriorReports { deferred_shutdown: true, ..CLIENT };

/// What the socket holds at an ordinary end.
const FINAL: FinalFields = FinalFields {
    error_soft: Some(None),
    in_flight: Some(0),
    has_unsent: Some(false),
    linger2_is_negative: Some(false),
    bytes_acked: Some(1),
};

impl Report {
    /// With these fields of the socket, at its end.
    fn with(self, fields: FinalFields) -> Self {
        Self { final_fields: Some(fields), ..self }
    }

    /// After an ICMP error or a lost route that left this error in `sk_err_soft`.
    fn soft(self, errno: Errno) -> Self {
        self.with(FinalFields { error_soft: Some(Some(errno)), ..FINAL })
    }

    /// With so much in flight.
    fn in_flight(self, in_flight: u32, has_unsent: bool) -> Self {
        self.with(FinalFields { in_flight: Some(in_flight), has_unsent: Some(has_unsent), ..FINAL })
    }

    /// With TCP_LINGER2 below 0.
    fn without_fin_wait2(self) -> Self {
        self.with(FinalFields { linger2_is_negative: Some(true), ..FINAL })
    }

    fn exiting(self) -> Self {
        Self { task_exits: true, ..self }
    }

    fn in_repair(self) -> Self {
        Self { in_repair: Some(true), ..self }
    }
}

fn context(report: &Report, prior: PriorReports) -> CauseContext {
    let calls = super::super::syscall::SyscallTable::of("x86_64");
    CauseContext { prior, syscall: report.syscall.and_then(|number| calls.by_number(number)) }
}

fn evidence(report: &Report, prior: PriorReports) -> Evidence<'_> {
    Evidence::new(report, &context(report, prior))
}

fn derived(report: &Report, prior: PriorReports) -> Option<Cause> {
    cause(report, &context(report, prior))
}

/// Compares the cause with `kind: detail (errno)`.
#[track_caller]
fn check(report: Report, prior: PriorReports, expected: &str) {
    assert_eq!(text(derived(&report, prior)), expected, "{} → {}", report.old, report.new);
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
    check(
        report(SynSent, Established).in_repair(),
        CLIENT,
        "kernel: SYN+ACK received, or connect under TCP_REPAIR",
    );
    check(report(SynSent, SynRecv), CLIENT, "segment: SYN received");
    check(report(SynRecv, Established), CHILD, "segment: ACK of SYN received");
}

const BLIND_FIN: &str = "kernel: close or shutdown, or MPTCP ended the subflow";

/// MPTCP sends the FIN of a subflow in a call on its MPTCP socket, in its worker or at a segment.
#[test]
fn the_fin_of_a_subflow_names_no_call() {
    let edges = [(Established, FinWait1), (CloseWait, LastAck), (FinWait2, FinWait2)];
    for (old, new) in edges {
        for call in [CLOSE, SHUTDOWN, READ] {
            let fin = || report(old, new).shut(2).in_call(call);
            let subflow = Report { is_subflow: true, ..fin() };
            check(subflow, CLIENT, table::MPTCP_UNKNOWN);
            check(Report { shutdown: None, ..fin() }, CLIENT, BLIND_FIN);
        }
    }
}

/// tcp_reset passes the RST to MPTCP first, which may end the subflow before `sk_err` is set.
#[test]
fn an_rst_may_end_a_subflow_without_an_error() {
    for (old, errno) in [(SynRecv, "ECONNRESET"), (Established, "ECONNRESET"), (CloseWait, "EPIPE")] {
        let end = Report { rst_received: Some(true), ..report(old, Close) };
        check(end, CLIENT, &format!("segment: RST received ({errno})"));
    }
}

/// Without the kernel's types neither the call nor the task's flags are known.
#[test]
fn a_close_may_be_at_exit() {
    let blind = Report { orphaned: None, shutdown: None, error: None, ..report(Listen, Close) };
    let blind = blind.on_stack(&[TcpClose]);
    check(blind, CLIENT, "call: close or close at exit");
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
        check(report(old, FinWait1).shut(3).in_call(EXECVE), CLIENT, "call: close at exec");
        check(report(old, FinWait1).shut(3), CLIENT, "call: close or shutdown(RDWR)");
        check(Report { shutdown: None, ..report(old, FinWait1) }, CLIENT, BLIND_FIN);
    }
    check(report(Established, FinWait1).shut(2), DEFERRED, "call: shutdown, deferred from SYN_RECV");
}

/// Whatever call the signal found it in.
#[test]
fn a_task_that_exits_closes() {
    for call in [READ, SHUTDOWN, CONNECT, SENDMSG] {
        let killed = |old, new| report(old, new).shut(3).in_call(call).exiting();
        check(killed(Established, FinWait1), CLIENT, "call: close at exit");
        check(killed(CloseWait, LastAck), CLIENT, "call: close at exit");
        check(killed(SynSent, Close).counted(1, 0), CLIENT, "call: close at exit");
        check(killed(SynSent, Close).counted(0, 0), CLIENT, "call: close at exit");
        check(killed(Listen, Close), CLIENT, "call: close at exit");
        check(killed(Listen, Close).shut(0), CLIENT, "call: close of its MPTCP socket");
        check(killed(Established, Close), CHILD, "call: close with RST (unread data or SO_LINGER 0)");
    }
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
        let end = || report(state, Close).shut(3).fin();
        check(end(), CLIENT, "segment: ACK of FIN received");
        check(end().orphaned(), CLIENT, "segment: ACK of FIN received");
        check(end().with(FINAL), CLIENT, "segment: ACK of FIN received");
        check(Report { error: None, ..end() }, CLIENT, "unknown");
        // The FIN is not acknowledged.
        for not_acknowledged in [end().in_flight(1, false), end().in_flight(0, true)] {
            check(
                not_acknowledged.clone().orphaned(),
                CLIENT,
                "kernel: orphan dropped: out of memory, or netns gone",
            );
            check(not_acknowledged.clone().in_call(CONNECT), CLIENT, "call: connect(AF_UNSPEC)");
            check(not_acknowledged, CLIENT, "call: close with RST, or disconnected");
        }
    }
    check(report(FinWait2, Close).shut(3).fin(), CLIENT, "segment: FIN received");
    check(report(FinWait2, Close).shut(3).fin().orphaned(), CLIENT, "segment: FIN received");
}

#[test]
fn a_half_closed_connection_ends_by_orphaning_or_a_call() {
    let end = |old| report(old, Close).shut(3);
    check(end(FinWait2).orphaned(), CLIENT, "kernel: orphan: FIN_WAIT2 timewait socket, or RST sent");
    check(
        end(FinWait2).orphaned().without_fin_wait2(),
        CLIENT,
        "kernel: orphan: RST sent (TCP_LINGER2 is negative)",
    );
    check(end(FinWait1).orphaned(), CLIENT, "kernel: orphan dropped: out of memory, or netns gone");
    for old in [FinWait1, FinWait2] {
        check(end(old).in_call(CLOSE), CLIENT, "call: close with RST (unread data or SO_LINGER 0)");
        check(end(old).in_call(CONNECT), CLIENT, "call: connect(AF_UNSPEC)");
        check(end(old), CLIENT, "call: close with RST, or disconnected");
        // tcp_close would have set the other bit.
        check(end(old).shut(2), CLIENT, "call: disconnected");
        check(Report { orphaned: None, ..end(old) }, CLIENT, "unknown");
    }
}

#[test]
fn a_connect_that_fails_locally_says_why() {
    let refused = || report(SynSent, Close).counted(0, 0).in_call(CONNECT);
    // A deferred Fast Open that connect(2) with AF_UNSPEC ends has a port, too.
    let either = "kernel: connect failed locally, or disconnected";
    check(refused(), BOUND, either);
    // tcp_disconnect left ECONNRESET in sk_err: it is not this connect's.
    check(refused().failed(Errno::ECONNRESET), BOUND, either);
    check(refused(), CLIENT, either);
    let taken = "kernel: connect failed locally: 4-tuple in use (EADDRNOTAVAIL)";
    check(refused().in_call(SENDMSG), BOUND, taken);
    check(refused().in_call(SENDMSG), CLIENT, "kernel: connect failed locally");
    let none_left = "kernel: connect failed locally: no free local port (EADDRNOTAVAIL)";
    check(refused().between("127.0.0.1:0", "127.0.0.1:80"), CLIENT, none_left);
    // inet_sport still holds the last connection's port.
    let again = PriorReports { previous_port: BOUND.first_port, ..CLIENT };
    check(refused(), again, none_left);
    check(refused().shut(3).in_call(CLOSE), CLIENT, "call: close");
    check(refused().failed(Errno::ECONNRESET).shut(3).in_call(CLOSE), CLIENT, "call: close");
    check(refused().in_call(SHUTDOWN), CLIENT, "call: shutdown");
    check(Report { counters: None, ..refused() }, CLIENT, either);
}

#[test]
fn a_failed_open_names_rst_icmp_timer_or_call() {
    let failed = |errno| report(SynSent, Close).counted(1, 1).failed(errno).with(FINAL);
    let rst = "segment: RST received (ECONNREFUSED)";
    let unreachable = "segment: ICMP port unreachable received (ECONNREFUSED)";
    let refused = || failed(Errno::ECONNREFUSED);
    check(refused(), CLIENT, rst);
    check(refused().counted(1, 0), CLIENT, unreachable);
    check(
        Report { counters: None, ..refused() },
        CLIENT,
        "segment: RST or ICMP port unreachable received (ECONNREFUSED)",
    );
    let with_rst = |rst| Report { rst_received: Some(rst), counters: None, ..refused() };
    check(with_rst(true), CLIENT, rst);
    check(with_rst(false), CLIENT, unreachable);
    check(failed(Errno::ETIMEDOUT), CLIENT, "timer: SYN retransmissions exhausted (ETIMEDOUT)");
    for (errno, name) in [
        (Errno::EHOSTUNREACH, "EHOSTUNREACH"),
        (Errno::ENETUNREACH, "ENETUNREACH"),
        (Errno::ENOPROTOOPT, "ENOPROTOOPT"),
    ] {
        check(failed(errno), CLIENT, &format!("segment: ICMP error received ({name})"));
        // The timer takes the error of an earlier message, or of a lost route.
        let either = format!(
            "kernel: ICMP error received, or SYN retransmissions exhausted after one or a lost route ({name})"
        );
        check(failed(errno).soft(errno), CLIENT, &either);
        check(Report { final_fields: None, ..failed(errno) }, CLIENT, &either);
    }
    check(failed(Errno::ECONNABORTED), CLIENT, "kernel: destroyed via sock_diag or BPF (ECONNABORTED)");
    let sent = || report(SynSent, Close).counted(1, 0);
    check(sent().shut(3).in_call(CLOSE), CLIENT, "call: close");
    check(sent().in_call(SHUTDOWN), CLIENT, "call: shutdown");
    check(sent().in_call(CONNECT), CLIENT, "call: connect(AF_UNSPEC)");
    check(sent(), CLIENT, "kernel: disconnected, or ended by MPTCP");
    check(sent(), PREEXISTING, "kernel: disconnected, or ended by MPTCP");
    let half = |errno| report(SynRecv, Close).failed(errno).with(FINAL);
    check(half(Errno::ECONNRESET), CLIENT, "segment: RST received (ECONNRESET)");
    check(half(Errno::ECONNREFUSED), CLIENT, unreachable);
    check(half(Errno::ETIMEDOUT), CHILD, "timer: SYN+ACK retransmissions exhausted (ETIMEDOUT)");
    let child = "kernel: child discarded, disconnected, or listener ended before accept";
    check(report(SynRecv, Close), CHILD, child);
    check(report(SynRecv, Close), PREEXISTING, child);
    check(report(SynRecv, Close).in_call(CONNECT), CLIENT, "call: connect(AF_UNSPEC)");
    check(report(SynRecv, Close).shut(3), CHILD, "call: close with RST (unread data or SO_LINGER 0)");
}

#[test]
fn an_abrupt_end_names_rst_timer_or_call() {
    for state in [Established, CloseWait] {
        let end = || report(state, Close).with(FINAL);
        check(
            end().failed(Errno::ECONNABORTED),
            CLIENT,
            "kernel: destroyed via sock_diag or BPF (ECONNABORTED)",
        );
        check(end().shut(3), CLIENT, "call: close with RST (unread data or SO_LINGER 0)");
        check(end().in_call(CONNECT), CLIENT, "call: connect(AF_UNSPEC)");
        check(end().in_call(CLOSE), CLIENT, "call: close of its MPTCP socket");
        check(end(), CLIENT, "kernel: disconnected, or ended by MPTCP");
        // Whether a child was accepted does not show.
        check(
            end().in_call(CLOSE),
            CHILD,
            "call: listener closed before accept, or close of its MPTCP socket",
        );
        for (report, prior) in [(end().in_call(CONNECT), CHILD), (end(), CHILD), (end(), PREEXISTING)] {
            check(report, prior, "kernel: disconnected, ended by MPTCP, or listener ended before accept");
        }
        check(Report { shutdown: None, ..end() }, CLIENT, "unknown");
        check(Report { error: None, ..end() }, CLIENT, "unknown");
    }
    check(report(Established, Close).failed(Errno::ECONNRESET), CLIENT, "segment: RST received (ECONNRESET)");
    check(report(CloseWait, Close).failed(Errno::EPIPE), CLIENT, "segment: RST received (EPIPE)");
    let reset = |bits| report(FinWait2, Close).failed(Errno::ECONNRESET).shut(bits);
    check(reset(2), CLIENT, "segment: RST received (ECONNRESET)");
    check(reset(3), CLIENT, "segment: RST received, or data after close (ECONNRESET)");
    check(report(Established, Close).failed(Errno(5)), CLIENT, "kernel: closed with an error (EIO)");
}

#[test]
fn a_timer_is_named_by_what_was_outstanding() {
    let timer = |old, in_flight, unsent, expected: &str| {
        let end = report(old, Close).failed(Errno::ETIMEDOUT).in_flight(in_flight, unsent);
        check(end, CLIENT, &format!("timer: {expected} exhausted (ETIMEDOUT)"));
    };
    for old in [Established, CloseWait] {
        timer(old, 1, false, "retransmissions");
        timer(old, 1448, true, "retransmissions");
        timer(old, 0, true, "window probes");
        timer(old, 0, false, "keepalive probes");
    }
    for old in [FinWait1, Closing, LastAck] {
        timer(old, 1, false, "FIN retransmissions");
        timer(old, 2, false, "retransmissions");
        timer(old, 1, true, "retransmissions");
        timer(old, 0, true, "window probes");
        check(
            report(old, Close).failed(Errno::ETIMEDOUT),
            CLIENT,
            "timer: retransmissions or window probes exhausted (ETIMEDOUT)",
        );
    }
    timer(FinWait2, 0, false, "keepalive probes");
    check(
        report(Established, Close).failed(Errno::ETIMEDOUT),
        CLIENT,
        "timer: retransmissions, probes or keepalive exhausted (ETIMEDOUT)",
    );
}

/// tcp_write_err copies `sk_err_soft`, which an ICMP message and a lost route leave; IP_RECVERR puts it into `sk_err` alone.
#[test]
fn an_icmp_error_of_a_live_connection_is_the_timers_or_none() {
    for errno in [Errno::EHOSTUNREACH, Errno::ENETUNREACH, Errno::ECONNREFUSED] {
        let soft =
            |in_flight| FinalFields { error_soft: Some(Some(errno)), in_flight: Some(in_flight), ..FINAL };
        check(
            report(Established, Close).failed(errno).with(soft(100)),
            CLIENT,
            &format!("timer: retransmissions exhausted after an ICMP error or a lost route ({errno})"),
        );
        check(
            report(LastAck, Close).failed(errno).with(soft(1)),
            CLIENT,
            &format!("timer: FIN retransmissions exhausted after an ICMP error or a lost route ({errno})"),
        );
        let marked = |old| report(old, Close).shut(3).failed(errno).with(FINAL);
        check(marked(LastAck).fin(), CLIENT, "segment: ACK of FIN received");
        check(marked(FinWait2).fin(), CLIENT, "segment: FIN received");
        check(marked(Established), CLIENT, "call: close with RST (unread data or SO_LINGER 0)");
        check(marked(FinWait1).in_call(CONNECT), CLIENT, "call: connect(AF_UNSPEC)");
        check(
            report(Established, Close).failed(errno),
            CLIENT,
            &format!("kernel: timed out or closed, after an ICMP error or a lost route ({errno})"),
        );
    }
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
    // An error that an earlier connection left, or none.
    for stale in [Some(None), Some(Some(Errno::ECONNRESET)), Some(Some(Errno::ECONNABORTED)), None] {
        let end = || Report { error: stale, ..report(Listen, Close) };
        check(end().shut(3).in_call(CLOSE), CLIENT, "call: close");
        check(end().shut(3).in_call(EXIT_GROUP), CLIENT, "call: close at exit");
        check(end().in_call(CLOSE), CLIENT, "call: close of its MPTCP socket");
        check(end().in_call(SHUTDOWN), CLIENT, "call: shutdown");
        check(end().in_call(CONNECT), CLIENT, "call: connect(AF_UNSPEC)");
        check(end().in_call(LISTEN), CLIENT, "kernel: listen failed: port in use (EADDRINUSE)");
        check(end().in_call(SENDMSG), CLIENT, "kernel: listener destroyed via sock_diag or BPF");
        check(end(), CLIENT, "kernel: listener stopped, not by close");
        check(Report { shutdown: None, ..end() }, CLIENT, "unknown");
    }
    check(
        report(Close, Close).failed(Errno::ECONNABORTED),
        CLIENT,
        "kernel: destroyed via sock_diag or BPF (ECONNABORTED)",
    );
    check(report(Close, Close), CLIENT, "kernel: destroyed after CLOSE");
}

#[test]
fn a_socket_under_repair_sends_nothing() {
    let end = |old| report(old, Close).in_repair();
    for old in [SynSent, SynRecv, Established, CloseWait, FinWait1, FinWait2, Closing, LastAck] {
        let closed = end(old).shut(3).in_call(CLOSE).counted(1, 0);
        check(closed, CLIENT, "call: close under TCP_REPAIR, without a segment");
        let unspec = end(old).in_call(CONNECT).counted(1, 0);
        check(unspec, CLIENT, "call: disconnected under TCP_REPAIR, without a segment");
    }
    check(end(Established).failed(Errno::ECONNRESET), CLIENT, "segment: RST received (ECONNRESET)");
}

#[test]
fn an_mptcp_socket_without_a_stack_names_what_the_edge_shows() {
    let mptcp = |old, new| report(old, new).with_protocol(Protocol::Mptcp);
    check(mptcp(Close, SynSent), CLIENT, "call: connect or Fast Open");
    check(mptcp(Close, SynSent).in_call(CONNECT), CLIENT, "call: connect");
    check(mptcp(Close, SynSent).in_call(SENDMSG), CLIENT, "call: send with MSG_FASTOPEN");
    check(mptcp(Close, Listen), CLIENT, "call: listen");
    check(mptcp(SynSent, Established), CLIENT, "segment: first MPTCP subflow established");
    check(mptcp(Listen, Listen), CLIENT, "call: listen");
    check(mptcp(Listen, Established), CLIENT, "segment: child created");
    check(mptcp(Established, FinWait1), CLIENT, "call: close or shutdown");
    check(mptcp(Established, FinWait1).in_call(CLOSE), CLIENT, "call: close");
    check(mptcp(FinWait1, FinWait2), CLIENT, "segment: ACK of DATA_FIN or FIN received");
    check(mptcp(Established, CloseWait), CLIENT, "segment: DATA_FIN or FIN received");
    check(mptcp(Established, Close), CLIENT, "kernel: MPTCP: a call, a segment or a timer");
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
