//! Why a socket reached CLOSE.
//!
//! The kernel writes `sk_err` before the state where a segment, a timer or sock_diag ends a
//! connection, and leaves it 0 where the protocol or the owner does. Where `sk_err` cannot be read,
//! no end has a cause but by an RST that was heard of otherwise.
//!
//! One cause is a likelihood, not a certainty: CLOSING and LAST_ACK that end without an error are
//! put down to the ACK of the FIN. The same report comes of an orphan that is dropped for want of memory or
//! because its namespace is gone (tcp_out_of_resources, __tcp_close), and of a socket that was shut
//! down, and is closed with data unread before that ACK is there, which resets. Almost every
//! LAST_ACK is an orphan's, so that to name the rare cases would be to name them at every ordinary end.

use std::num::NonZeroU16;

use super::{Background, Call, Past, SEND_SHUTDOWN, closed, shuts};
use crate::model::{
    Cause,
    CauseKind::{Call as ByCall, Kernel, Segment, Timer},
    Errno, Report, State,
};

const RESET_BY_CLOSE: &str = "close with RST (unread data or SO_LINGER 0)";

/// `None` where a field that would tell could not be read.
pub fn cause(report: &Report, background: &Background) -> Option<Cause> {
    refusal(report, background).or_else(|| match report.error {
        Some(Some(errno)) => Some(by_error(report, errno).with(errno)),
        Some(None) => without_error(report, background),
        None => reset(report),
    })
}

/// `sk_err` could not be read, but tcp_reset has been heard: it names the error by the state.
fn reset(report: &Report) -> Option<Cause> {
    let errno = match report.old {
        State::SynSent => Errno::ECONNREFUSED,
        State::CloseWait => Errno::EPIPE,
        _ => Errno::ECONNRESET,
    };
    (report.rst_received == Some(true)).then(|| by_error(report, errno).with(errno))
}

/// `connect` fails between setting SYN_SENT and sending the SYN. Whatever `sk_err` holds then is older:
/// it is cleared on the way to the SYN (`tcp_connect_init`).
fn refusal(report: &Report, background: &Background) -> Option<Cause> {
    let sent_nothing = report.counters.is_some_and(|counters| counters.segs_out == 0);
    let destroyed = report.error == Some(Some(Errno::ECONNABORTED));
    if report.old != State::SynSent || !sent_nothing || destroyed || shuts(report, SEND_SHUTDOWN) {
        return None;
    }
    // A deferred Fast Open has sent nothing either, and shutdown undoes it.
    if background.call == Some(Call::Shutdown) {
        return Some(Cause::new(ByCall, "shutdown"));
    }
    let Past { first_port, left_port, .. } = background.past;
    let own = |port: &NonZeroU16| first_port.is_some() || Some(*port) != left_port;
    Some(match report.ends.local.port.filter(own) {
        // __inet_hash_connect went through the whole range.
        None => Cause::new(Kernel, Cause::NO_PORT_LEFT).with(Errno::EADDRNOTAVAIL),
        // __inet_check_established found the same four-tuple, live or in TIME_WAIT.
        port if port == first_port => Cause::new(Kernel, Cause::TUPLE_IN_USE).with(Errno::EADDRNOTAVAIL),
        // It found a port and failed after that: route, policy, memory.
        _ => Cause::new(Kernel, Cause::REFUSED),
    })
}

/// `sk_err` is set.
fn by_error(report: &Report, errno: Errno) -> Cause {
    use State::*;
    let handshake = matches!(report.old, SynSent | SynRecv);
    match (report.old, errno) {
        // tcp_abort
        (_, Errno::ECONNABORTED) => Cause::new(Kernel, Cause::DESTROYED),
        (SynSent, Errno::ECONNREFUSED) => Cause::new(Segment, refused(report)),
        (SynRecv, Errno::ECONNREFUSED) => Cause::new(Segment, Cause::PORT_UNREACHABLE),
        // tcp_reset names the error by the state.
        (CloseWait, Errno::EPIPE) => Cause::new(Segment, Cause::RST),
        // tcp_rcv_state_process calls tcp_reset for data that nobody can read any more, too, so that the
        // tracepoint in there tells nothing.
        (FinWait1 | FinWait2, Errno::ECONNRESET) if report.shutdown.is_none_or(|bits| bits & 1 == 1) => {
            Cause::new(Segment, "RST received, or data after close")
        }
        (_, Errno::ECONNRESET) => Cause::new(Segment, Cause::RST),
        // tcp_write_err
        (SynSent, Errno::ETIMEDOUT) => Cause::new(Timer, "SYN retransmissions exhausted"),
        (SynRecv, Errno::ETIMEDOUT) => Cause::new(Timer, "SYN+ACK retransmissions exhausted"),
        (FinWait1 | Closing | LastAck, Errno::ETIMEDOUT) => {
            Cause::new(Timer, "FIN retransmissions exhausted")
        }
        (FinWait2, Errno::ETIMEDOUT) => Cause::new(Timer, "keepalive exhausted"),
        (_, Errno::ETIMEDOUT) => Cause::new(Timer, "retransmissions, probes or keepalive exhausted"),
        // ICMP is fatal in the handshake; later its error only replaces ETIMEDOUT (sk_err_soft).
        _ if handshake && is_icmp(errno) => Cause::new(Segment, Cause::ICMP_ERROR),
        _ if is_icmp(errno) => Cause::new(Timer, "retransmissions exhausted after an ICMP error"),
        _ => Cause::new(Kernel, "ended with an error"),
    }
}

/// tcp_reset, or tcp_v4_err for ICMP port unreachable: only a segment is counted.
fn refused(report: &Report) -> &'static str {
    let heard = report.rst_received.or(report.counters.map(|counters| counters.segs_in > 0));
    match heard {
        Some(true) => Cause::RST,
        Some(false) => Cause::PORT_UNREACHABLE,
        None => Cause::RST_OR_PORT_UNREACHABLE,
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

/// `sk_err` is 0: the protocol's own end, or the owner's.
fn without_error(report: &Report, background: &Background) -> Option<Cause> {
    use State::*;
    Some(match report.old {
        Listen => listener(report, background),
        Close => Cause::new(Kernel, "destroyed"),
        // A SYN that was not answered needs no RST.
        SynSent if shuts(report, SEND_SHUTDOWN) => Cause::new(ByCall, closed(background.call)),
        SynRecv | Established | CloseWait if shuts(report, SEND_SHUTDOWN) => {
            Cause::new(ByCall, RESET_BY_CLOSE)
        }
        SynSent | SynRecv | Established | CloseWait => return disconnected(report, background),
        FinWait1 | FinWait2 => return half_closed(report),
        // tcp_rcv_state_process, as good as always: see above.
        Closing | LastAck => Cause::new(Segment, "ACK of FIN received"),
        TimeWait | NewSynRecv => Cause::new(Kernel, "unheard of"),
    })
}

/// Our FIN is sent, the peer's FIN is not acknowledged yet.
fn half_closed(report: &Report) -> Option<Cause> {
    Some(match (report.old, report.fin_received, report.orphaned) {
        // tcp_fin: TIME_WAIT begins, unseen.
        (State::FinWait2, Some(true), _) => Cause::new(Segment, "FIN received"),
        // tcp_time_wait, called before the FIN comes; or a reset, where TCP_LINGER2 is negative or there
        // is data that nobody can read. Nothing in the socket tells which.
        (State::FinWait2, _, Some(true)) => Cause::new(Kernel, "orphan: FIN_WAIT2 mini-socket or RST"),
        // tcp_out_of_resources
        (_, _, Some(true)) => Cause::new(Kernel, "orphan dropped: memory, or its namespace is gone"),
        // After shutdown(WR), close still resets if there is unread data.
        (_, _, Some(false)) => Cause::new(ByCall, RESET_BY_CLOSE),
        (_, _, None) => return None,
    })
}

/// tcp_close sets both bits of `sk_shutdown` first; whatever else ends a listener sets none.
fn listener(report: &Report, background: &Background) -> Cause {
    match background.call {
        call if shuts(report, SEND_SHUTDOWN) => Cause::new(ByCall, closed(call)),
        Some(Call::Shutdown) => Cause::new(ByCall, "shutdown"),
        Some(Call::Connect) => Cause::new(ByCall, "connect(AF_UNSPEC)"),
        // inet_csk_listen_start sets LISTEN before it asks for the port.
        Some(Call::Listen) => Cause::new(Kernel, Cause::LISTEN_REFUSED).with(Errno::EADDRINUSE),
        Some(Call::Send) => Cause::new(Kernel, Cause::DESTROYED),
        // mptcp_check_listen_stop, in the close of the MPTCP socket that it belongs to
        Some(Call::Close | Call::Exit | Call::Exec) => Cause::new(ByCall, "close of its MPTCP socket"),
        _ => Cause::new(Kernel, "listening ended, not by close"),
    }
}

/// tcp_disconnect: no FIN, but an RST where there is a peer.
fn disconnected(report: &Report, background: &Background) -> Option<Cause> {
    Some(match background.call {
        Some(Call::Connect) if report.old != State::SynSent || report.counters.is_some() => {
            Cause::new(ByCall, "connect(AF_UNSPEC)")
        }
        // inet_shutdown disconnects a socket in SYN_SENT.
        Some(Call::Shutdown) if report.old == State::SynSent => Cause::new(ByCall, "shutdown"),
        _ if report.shutdown.is_none() => return None,
        // Without counters, a refusal is not to be told from it.
        _ if report.old == State::SynSent && report.counters.is_none() => {
            Cause::new(Kernel, "refused without a packet, or disconnected")
        }
        _ => match (report.old, background.past.passive) {
            (State::SynSent, _) | (_, Some(false)) => Cause::new(ByCall, "disconnected"),
            // inet_child_forget, tcp_v4_syn_recv_sock
            (State::SynRecv, Some(true)) => Cause::new(Kernel, "child discarded"),
            (State::SynRecv, None) => Cause::new(Kernel, "child discarded, or disconnected"),
            // inet_csk_listen_stop
            (_, Some(true)) => Cause::new(ByCall, "listener closed before accept"),
            (_, None) => Cause::new(ByCall, "disconnected, or listener closed before accept"),
        },
    })
}
