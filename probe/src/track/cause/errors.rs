//! What `sk_err` and `sk_err_soft` mean at an end.

use super::context::Evidence;
use crate::model::{Cause, Errno, State, Timer};

/// Whether an ICMP or ICMPv6 message leaves this error (`icmp_err_convert`, `icmpv6_err_convert`).
pub fn is_icmp(errno: Errno) -> bool {
    use nix::libc::{EHOSTDOWN, EMSGSIZE, ENONET, EPROTO};
    matches!(
        errno,
        Errno::EACCES
            | Errno::ECONNREFUSED
            | Errno::EHOSTUNREACH
            | Errno::ENETUNREACH
            | Errno::ENOPROTOOPT
            | Errno::EOPNOTSUPP
            | Errno(EHOSTDOWN | EMSGSIZE | ENONET | EPROTO)
    )
}

/// The error with which a timer ends a connection: `sk_err_soft`, or ETIMEDOUT (`tcp_write_err`). `None` where
/// `sk_err_soft` is unknown.
pub fn of_timer(evidence: &Evidence) -> Option<Errno> {
    Some(evidence.final_field(|fields| fields.error_soft)?.unwrap_or(Errno::ETIMEDOUT))
}

/// The cause that an ICMP error names where it ends the handshake.
pub fn fatal_icmp(errno: Errno) -> Cause {
    if errno == Errno::ECONNREFUSED { Cause::PortUnreachable } else { Cause::IcmpError(errno) }
}

/// The error that tcp_reset leaves, which depends on the state only.
pub fn of_reset(old: State) -> Errno {
    match old {
        State::SynSent => Errno::ECONNREFUSED,
        State::CloseWait => Errno::EPIPE,
        _ => Errno::ECONNRESET,
    }
}

/// Which timer ended the connection, where one did.
///
/// tcp_write_err purges the queue first, so that `packets_out` is 0 by then; the sequence numbers still show what was in
/// flight. Retransmissions need something in flight, window probes nothing in flight and something unsent
/// (`tcp_probe_timer`), keepalive neither (`tcp_keepalive_timer`).
pub fn timer(evidence: &Evidence) -> Timer {
    let in_flight = evidence.final_field(|fields| fields.in_flight);
    let has_unsent = evidence.final_field(|fields| fields.has_unsent);
    let has_sent_fin = matches!(evidence.report.old, State::FinWait1 | State::Closing | State::LastAck);
    match evidence.report.old {
        State::SynSent => Timer::Syn,
        State::SynRecv => Timer::SynAck,
        State::FinWait2 => Timer::Keepalive,
        _ => match (in_flight, has_unsent) {
            (Some(1), Some(false)) if has_sent_fin => Timer::Fin,
            (Some(1..), _) => Timer::Retransmission,
            (Some(0), _) if has_sent_fin => Timer::Probe,
            (Some(0), Some(true)) => Timer::Probe,
            (Some(0), Some(false)) => Timer::Keepalive,
            _ if has_sent_fin => Timer::RetransmissionOrProbe,
            _ => Timer::Any,
        },
    }
}
