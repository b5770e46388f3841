//! Why a socket reached CLOSE, by its fields.
//!
//! The kernel writes `sk_err` before the state where a segment, a timer or sock_diag ends a connection, and leaves it where
//! the protocol or the owner does. But it may be set already by then:
//!
//! - tcp_disconnect leaves ECONNRESET, which listen(2) and a deferred Fast Open do not clear. Only a SYN that is sent does
//!   (tcp_connect_init), and a child begins without (sk_clone_lock).
//! - With IP_RECVERR, tcp_v4_err and tcp_v6_err mark a live connection.
//! - tcp_write_err sets it from `sk_err_soft`, which an ICMP message that is not fatal and a lost route both leave. So a timer's
//!   end has `sk_err` equal to `sk_err_soft`, or ETIMEDOUT where that is 0.
//!
//! Where `sk_err` cannot be read, the only known cause is an RST that `tcp_receive_reset` reported.

use super::{
    super::syscall::Syscall,
    connect::{local_failure, own_port},
    context::{BOTH_SHUTDOWN, Evidence},
    errors,
};
use crate::model::{Cause, Errno, RstReason, ShutdownHow, State};

/// `None` where the field that would show the cause could not be read.
pub fn cause(evidence: &Evidence) -> Option<Cause> {
    let report = evidence.report;
    match report.old {
        // tcp_abort sets the error after the state; whatever is there is older.
        State::Listen => return listener(evidence),
        State::SynSent if sent_nothing(evidence) && evidence.error() != Some(Errno::ECONNABORTED) => {
            return before_syn(evidence);
        }
        _ => {}
    }
    let Some(error) = report.error else {
        return (report.rst_received == Some(true)).then(|| reset(evidence, errors::of_reset(report.old)));
    };
    // MPTCP ends a subflow in tcp_reset before that sets the error.
    let is_before_error = error.is_none() && report.rst_received == Some(true);
    if is_before_error && matches!(report.old, State::SynRecv | State::Established | State::CloseWait) {
        return Some(Cause::RstReceived(errors::of_reset(report.old)));
    }
    error.and_then(|errno| by_error(evidence, errno)).or_else(|| without_error(evidence))
}

fn sent_nothing(evidence: &Evidence) -> bool {
    evidence.report.counters.is_some_and(|counters| counters.segs_out == 0)
}

/// SYN_SENT without a SYN: connect(2) failed before it sent one, or a deferred Fast Open had not sent it yet.
fn before_syn(evidence: &Evidence) -> Option<Cause> {
    Some(match evidence.syscall {
        Some(Syscall::Shutdown) => Cause::Shutdown(ShutdownHow::Unknown),
        _ if evidence.has_shutdown(BOTH_SHUTDOWN) => Cause::Close(evidence.close_call()),
        // tcp_sendmsg_fastopen: nothing but a failure ends it in a send.
        Some(Syscall::Send) => local_failure(evidence),
        // A deferred Fast Open has a port.
        _ if own_port(evidence).is_none() => Cause::NoLocalPort,
        _ => Cause::ConnectFailedOrDisconnect,
    })
}

/// The cause that `sk_err` names; `None` where it names none, since it was set before.
fn by_error(evidence: &Evidence, errno: Errno) -> Option<Cause> {
    use State::*;
    let report = evidence.report;
    Some(match (report.old, errno) {
        // tcp_abort
        (_, Errno::ECONNABORTED) => Cause::Destroyed,
        // tcp_reset sets the error by the state, and never this one in SYN_SENT.
        (SynSent, Errno::ECONNRESET) => return None,
        (CloseWait, Errno::EPIPE) | (_, Errno::ECONNRESET) => reset(evidence, errno),
        // tcp_write_err
        (_, Errno::ETIMEDOUT) => Cause::Timeout(errors::timer(evidence), errno),
        // An ICMP error is fatal in the handshake.
        (SynSent, Errno::ECONNREFUSED) => refused(evidence),
        (SynSent | SynRecv, _) if errors::is_icmp(errno) => icmp(evidence, errno),
        // Later it is not: it is that of the timer, or IP_RECVERR's mark.
        _ if errors::is_icmp(errno) => match errors::of_timer(evidence) {
            Some(timer) if timer == errno => Cause::Timeout(errors::timer(evidence), errno),
            Some(_) => return None,
            None => Cause::AfterIcmpError(errno),
        },
        // A lost route leaves others as well.
        _ if errors::of_timer(evidence) == Some(errno) => Cause::Timeout(errors::timer(evidence), errno),
        _ => Cause::UnknownError(errno),
    })
}

/// tcp_reset. tcp_rcv_state_process also calls it for data that no process can read any more, so that the tracepoint in it does
/// not decide.
fn reset(evidence: &Evidence, errno: Errno) -> Cause {
    let has_sent_fin = matches!(evidence.report.old, State::FinWait1 | State::FinWait2);
    if has_sent_fin && evidence.may_have_shut_receiving() {
        Cause::RstOrDataAfterClose
    } else {
        Cause::RstReceived(errno)
    }
}

/// ECONNREFUSED in SYN_SENT: tcp_reset, or an ICMP port unreachable. Only a segment is counted.
fn refused(evidence: &Evidence) -> Cause {
    let report = evidence.report;
    match report.rst_received.or(report.counters.map(|counters| counters.segs_in > 0)) {
        Some(true) => Cause::RstReceived(Errno::ECONNREFUSED),
        Some(false) => icmp(evidence, Errno::ECONNREFUSED),
        None => Cause::RstOrPortUnreachable,
    }
}

/// The error of an ICMP message in the handshake, unless the timer took it from an earlier one (`sk_err_soft`).
fn icmp(evidence: &Evidence, errno: Errno) -> Cause {
    match errors::of_timer(evidence) {
        Some(timer) if timer != errno => errors::fatal_icmp(errno),
        _ => Cause::IcmpErrorOrTimeout(errno),
    }
}

/// The protocol or the owner ended the connection.
fn without_error(evidence: &Evidence) -> Option<Cause> {
    use State::*;
    let report = evidence.report;
    if evidence.is_in_repair() && !matches!(report.old, Close) {
        return Some(in_repair(evidence));
    }
    Some(match report.old {
        Close => Cause::DestroyedAfterClose,
        SynSent => syn_sent(evidence)?,
        SynRecv | Established | CloseWait => open(evidence)?,
        FinWait1 | FinWait2 => half_closed(evidence)?,
        Closing | LastAck => closing(evidence),
        Listen | TimeWait | NewSynRecv => Cause::UnknownTransition,
    })
}

/// tcp_disconnect under TCP_REPAIR, which __tcp_close calls as well: it sends nothing.
fn in_repair(evidence: &Evidence) -> Cause {
    let is_connect = evidence.syscall == Some(Syscall::Connect);
    if !is_connect && evidence.has_shutdown(BOTH_SHUTDOWN) {
        Cause::CloseInRepair
    } else {
        Cause::DisconnectInRepair
    }
}

/// A SYN was sent. It needs no RST.
fn syn_sent(evidence: &Evidence) -> Option<Cause> {
    Some(match evidence.syscall {
        // Without counters a local failure looks the same.
        Some(Syscall::Connect) if evidence.report.counters.is_some() => Cause::ConnectUnspec,
        // inet_shutdown disconnects a socket in SYN_SENT.
        Some(Syscall::Shutdown) => Cause::Shutdown(ShutdownHow::Unknown),
        _ if evidence.has_shutdown(BOTH_SHUTDOWN) => Cause::Close(evidence.close_call()),
        _ if evidence.report.shutdown.is_none() => return None,
        _ if evidence.report.counters.is_none() => Cause::ConnectFailedOrDisconnect,
        _ => Cause::DisconnectOrMptcp,
    })
}

/// No FIN was sent. tcp_close sets both bits of `sk_shutdown` first. A socket without them was disconnected, or ended with its
/// listener or its MPTCP socket.
fn open(evidence: &Evidence) -> Option<Cause> {
    let is_connect = evidence.syscall == Some(Syscall::Connect);
    let is_handshake = evidence.report.old == State::SynRecv;
    Some(match evidence.prior.passive {
        Some(false) if is_connect => Cause::ConnectUnspec,
        _ if is_connect && !is_handshake => Cause::DisconnectOrListenerEnd,
        _ if evidence.has_shutdown(BOTH_SHUTDOWN) => Cause::CloseWithRst(RstReason::Unknown),
        _ if evidence.report.shutdown.is_none() => return None,
        Some(false) if evidence.closing_call().is_some() => Cause::CloseOfMptcp,
        Some(false) => Cause::DisconnectOrMptcp,
        // inet_child_forget, tcp_v4_syn_recv_sock, tcp_check_req
        _ if is_handshake => Cause::ChildDiscardedOrDisconnect,
        _ if evidence.closing_call().is_some() => Cause::ListenerOrMptcpClose,
        _ => Cause::DisconnectOrListenerEnd,
    })
}

/// This side sent its FIN and has not acknowledged one of the peer.
fn half_closed(evidence: &Evidence) -> Option<Cause> {
    let is_fin_wait2 = evidence.report.old == State::FinWait2;
    Some(match (evidence.report.fin_received, evidence.report.orphaned) {
        // tcp_fin: the kernel creates the TIME_WAIT mini-socket, which it does not report.
        (Some(true), _) if is_fin_wait2 => Cause::FinReceived,
        // __tcp_close, tcp_rcv_state_process
        (_, Some(true)) if is_fin_wait2 && evidence.forbids_fin_wait2() => Cause::OrphanReset,
        // tcp_time_wait, called before the FIN arrives; or an RST, where data came that no process can read.
        (_, Some(true)) if is_fin_wait2 => Cause::OrphanTimewaitOrRst,
        // tcp_out_of_resources
        (_, Some(true)) => Cause::OrphanDropped,
        (_, Some(false)) => aborted(evidence),
        (_, None) => return None,
    })
}

/// Both sides have sent a FIN. Its ACK ends the connection (tcp_rcv_state_process), unless it is still outstanding: then
/// another function does.
fn closing(evidence: &Evidence) -> Cause {
    let in_flight = evidence.final_field(|fields| fields.in_flight);
    let has_unsent = evidence.final_field(|fields| fields.has_unsent);
    if in_flight.is_none_or(|in_flight| in_flight == 0) && has_unsent != Some(true) {
        Cause::AckOfFinReceived
    } else if evidence.is_orphan() {
        Cause::OrphanDropped
    } else {
        aborted(evidence)
    }
}

/// The owner ends a connection that it had shut down: tcp_close, after unread data or with SO_LINGER 0; or tcp_disconnect.
fn aborted(evidence: &Evidence) -> Cause {
    match evidence.syscall {
        Some(Syscall::Connect) => Cause::ConnectUnspec,
        _ if !evidence.has_shutdown(BOTH_SHUTDOWN) => Cause::Disconnect,
        // After both FINs, SO_LINGER 0 sends an RST only for data that was never sent.
        _ if evidence.closing_call().is_some() && has_no_peer_fin(evidence) => {
            Cause::CloseWithRst(RstReason::Unknown)
        }
        _ => Cause::CloseOrDisconnect,
    }
}

/// tcp_close sets both bits of `sk_shutdown` first; but a listener that was destroyed and listens again has them already.
fn listener(evidence: &Evidence) -> Option<Cause> {
    let is_closed = evidence.has_shutdown(BOTH_SHUTDOWN);
    Some(match evidence.syscall {
        Some(Syscall::Shutdown) => Cause::Shutdown(ShutdownHow::Unknown),
        Some(Syscall::Connect) => Cause::ConnectUnspec,
        // inet_csk_listen_start sets LISTEN before it tries to get the port.
        Some(Syscall::Listen) => Cause::ListenFailed,
        Some(Syscall::Send) => Cause::ListenerDestroyed,
        _ if is_closed => Cause::Close(evidence.close_call()),
        _ if evidence.report.shutdown.is_none() => return None,
        // mptcp_check_listen_stop, in the close of the MPTCP socket that it belongs to
        _ if evidence.closing_call().is_some() => Cause::CloseOfMptcp,
        _ => Cause::ListenerStopped,
    })
}

fn has_no_peer_fin(evidence: &Evidence) -> bool {
    matches!(evidence.report.old, State::FinWait1 | State::FinWait2)
}
