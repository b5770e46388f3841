//! Why a socket reached CLOSE.
//!
//! The kernel writes `sk_err` before the state where a segment, a timer or sock_diag ends a connection, and leaves
//! it 0 where the protocol or the owner does. Where `sk_err` cannot be read, the only known cause is an RST that
//! `tcp_receive_reset` reported.
//!
//! One cause is likely rather than certain: CLOSING and LAST_ACK that end without an error are ascribed to the ACK
//! of the FIN. The kernel reports the same for an orphan that it drops for want of memory or with its namespace
//! (tcp_out_of_resources, __tcp_close), and for a socket that was shut down and is then closed with unread data
//! before that ACK arrives, which sends an RST. Almost every LAST_ACK is an orphan's: naming the rare cases would
//! mean naming them at every ordinary end.

use std::num::NonZeroU16;

use super::{CauseContext, PriorReports, SEND_SHUTDOWN, Syscall, close, has_shutdown};
use crate::model::{Cause, Errno, Report, ShutdownHow, State};

/// `None` where the field that would show the cause could not be read.
pub fn cause(report: &Report, context: &CauseContext) -> Option<Cause> {
    local_failure(report, context).or_else(|| match report.error {
        Some(Some(errno)) => Some(by_error(report, errno)),
        Some(None) => without_error(report, context),
        None => reported_reset(report),
    })
}

/// `sk_err` could not be read, but tcp_receive_reset was reported: tcp_reset sets the error by the state.
fn reported_reset(report: &Report) -> Option<Cause> {
    let errno = match report.old {
        State::SynSent => Errno::ECONNREFUSED,
        State::CloseWait => Errno::EPIPE,
        _ => Errno::ECONNRESET,
    };
    (report.rst_received == Some(true)).then(|| by_error(report, errno))
}

/// `connect` fails after it set SYN_SENT and before it sends the SYN. Whatever `sk_err` holds then is older:
/// `tcp_connect_init` clears it on the way to the SYN.
fn local_failure(report: &Report, context: &CauseContext) -> Option<Cause> {
    let sent_nothing = report.counters.is_some_and(|counters| counters.segs_out == 0);
    let destroyed = report.error == Some(Some(Errno::ECONNABORTED));
    if report.old != State::SynSent || !sent_nothing || destroyed || has_shutdown(report, SEND_SHUTDOWN) {
        return None;
    }
    // A deferred Fast Open has sent nothing either, and shutdown cancels it.
    if context.syscall == Some(Syscall::Shutdown) {
        return Some(Cause::Shutdown(ShutdownHow::Unknown));
    }
    let PriorReports { first_port, previous_port, .. } = context.prior;
    let is_own = |port: &NonZeroU16| first_port.is_some() || Some(*port) != previous_port;
    Some(match report.identity.endpoints.local.port.filter(is_own) {
        // __inet_hash_connect searched the whole range.
        None => Cause::NoLocalPort,
        // __inet_check_established found the same 4-tuple, live or in TIME_WAIT.
        port if port == first_port => Cause::TupleInUse,
        // It found a port and failed after that: route, policy, memory.
        _ => Cause::ConnectFailed,
    })
}

/// The cause that `sk_err` names.
fn by_error(report: &Report, errno: Errno) -> Cause {
    use State::*;
    let in_handshake = matches!(report.old, SynSent | SynRecv);
    match (report.old, errno) {
        // tcp_abort
        (_, Errno::ECONNABORTED) => Cause::Destroyed,
        (SynSent, Errno::ECONNREFUSED) => refused(report),
        (SynRecv, Errno::ECONNREFUSED) => Cause::PortUnreachable,
        // tcp_reset sets the error by the state.
        (CloseWait, Errno::EPIPE) => Cause::RstReceived(errno),
        // tcp_rcv_state_process also calls tcp_reset for data that no process can read any more, so that the
        // tracepoint in tcp_reset does not decide.
        (FinWait1 | FinWait2, Errno::ECONNRESET) if report.shutdown.is_none_or(|bits| bits & 1 == 1) => {
            Cause::RstOrDataAfterClose
        }
        (_, Errno::ECONNRESET) => Cause::RstReceived(errno),
        // tcp_write_err
        (SynSent, Errno::ETIMEDOUT) => Cause::SynTimeout,
        (SynRecv, Errno::ETIMEDOUT) => Cause::SynAckTimeout,
        (FinWait1 | Closing | LastAck, Errno::ETIMEDOUT) => Cause::FinTimeout,
        (FinWait2, Errno::ETIMEDOUT) => Cause::KeepaliveTimeout,
        (_, Errno::ETIMEDOUT) => Cause::Timeout,
        // An ICMP error is fatal in the handshake; later it only replaces ETIMEDOUT (sk_err_soft).
        _ if is_icmp(errno) && in_handshake => Cause::IcmpError(errno),
        _ if is_icmp(errno) => Cause::TimeoutAfterIcmp(errno),
        _ => Cause::UnknownError(errno),
    }
}

/// tcp_reset, or tcp_v4_err for an ICMP port unreachable: only a segment is counted.
fn refused(report: &Report) -> Cause {
    let has_rst = report.rst_received.or(report.counters.map(|counters| counters.segs_in > 0));
    match has_rst {
        Some(true) => Cause::RstReceived(Errno::ECONNREFUSED),
        Some(false) => Cause::PortUnreachable,
        None => Cause::RstOrPortUnreachable,
    }
}

/// `icmp_err_convert`, `icmpv6_err_convert`.
fn is_icmp(errno: Errno) -> bool {
    use nix::libc::{
        EACCES, EHOSTDOWN, EHOSTUNREACH, EMSGSIZE, ENETUNREACH, ENONET, ENOPROTOOPT, EOPNOTSUPP, EPROTO,
    };
    matches!(
        errno.0,
        EACCES
            | EHOSTDOWN
            | EHOSTUNREACH
            | EMSGSIZE
            | ENETUNREACH
            | ENONET
            | ENOPROTOOPT
            | EOPNOTSUPP
            | EPROTO
    )
}

/// `sk_err` is 0: the protocol or the owner ended the connection.
fn without_error(report: &Report, context: &CauseContext) -> Option<Cause> {
    use State::*;
    Some(match report.old {
        Listen => listener(report, context),
        Close => Cause::DestroyedAfterClose,
        // A SYN without an answer needs no RST.
        SynSent if has_shutdown(report, SEND_SHUTDOWN) => close(context.syscall),
        SynRecv | Established | CloseWait if has_shutdown(report, SEND_SHUTDOWN) => Cause::CloseWithRst,
        SynSent | SynRecv | Established | CloseWait => return disconnected(report, context),
        FinWait1 | FinWait2 => return half_closed(report),
        // tcp_rcv_state_process, almost always: see the module's documentation.
        Closing | LastAck => Cause::AckOfFinReceived,
        TimeWait | NewSynRecv => Cause::UnknownTransition,
    })
}

/// This side sent its FIN and has not acknowledged one of the peer.
fn half_closed(report: &Report) -> Option<Cause> {
    Some(match (report.old, report.fin_received, report.orphaned) {
        // tcp_fin: the kernel creates the TIME_WAIT mini-socket, which it does not report.
        (State::FinWait2, Some(true), _) => Cause::FinReceived,
        // tcp_time_wait, called before the FIN arrives; or an RST, where TCP_LINGER2 is negative or there is data
        // that no process can read. Nothing in the socket shows which.
        (State::FinWait2, _, Some(true)) => Cause::OrphanTimewaitOrRst,
        // tcp_out_of_resources
        (_, _, Some(true)) => Cause::OrphanDropped,
        // After SHUT_WR, close still resets where there is unread data.
        (_, _, Some(false)) => Cause::CloseWithRst,
        (_, _, None) => return None,
    })
}

/// tcp_close sets both bits of `sk_shutdown` first; nothing else that ends a listener sets any.
fn listener(report: &Report, context: &CauseContext) -> Cause {
    match context.syscall {
        call if has_shutdown(report, SEND_SHUTDOWN) => close(call),
        Some(Syscall::Shutdown) => Cause::Shutdown(ShutdownHow::Unknown),
        Some(Syscall::Connect) => Cause::ConnectUnspec,
        // inet_csk_listen_start sets LISTEN before it tries to get the port.
        Some(Syscall::Listen) => Cause::ListenFailed,
        Some(Syscall::Send) => Cause::ListenerDestroyed,
        // mptcp_check_listen_stop, in the close of the MPTCP socket that it belongs to
        Some(Syscall::Close | Syscall::Exit | Syscall::Exec) => Cause::CloseOfMptcp,
        None => Cause::ListenerStopped,
    }
}

/// tcp_disconnect: no FIN, but an RST where there is a peer.
fn disconnected(report: &Report, context: &CauseContext) -> Option<Cause> {
    Some(match context.syscall {
        Some(Syscall::Connect) if report.old != State::SynSent || report.counters.is_some() => {
            Cause::ConnectUnspec
        }
        // inet_shutdown disconnects a socket in SYN_SENT.
        Some(Syscall::Shutdown) if report.old == State::SynSent => Cause::Shutdown(ShutdownHow::Unknown),
        _ if report.shutdown.is_none() => return None,
        // Without counters a local failure looks the same.
        _ if report.old == State::SynSent && report.counters.is_none() => Cause::ConnectFailedOrDisconnect,
        _ => match (report.old, context.prior.passive) {
            (State::SynSent, _) | (_, Some(false)) => Cause::Disconnect,
            // inet_child_forget, tcp_v4_syn_recv_sock
            (State::SynRecv, Some(true)) => Cause::ChildDiscarded,
            (State::SynRecv, None) => Cause::ChildDiscardedOrDisconnect,
            // inet_csk_listen_stop
            (_, Some(true)) => Cause::ListenerClose,
            (_, None) => Cause::DisconnectOrListenerClose,
        },
    })
}
