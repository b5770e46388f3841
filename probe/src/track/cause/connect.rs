//! Why connect(2) failed before it sent a SYN.

use std::num::NonZeroU16;

use super::context::{Evidence, PriorReports};
use crate::model::Cause;

/// The reason that the ports show.
pub fn local_failure(evidence: &Evidence) -> Cause {
    match own_port(evidence) {
        // __inet_hash_connect searched the whole range.
        None => Cause::NoLocalPort,
        // __inet_check_established found the same 4-tuple, live or in TIME_WAIT.
        port if port == evidence.prior.first_port => Cause::TupleInUse,
        // It found a port and failed after that: route, policy, memory.
        _ => Cause::ConnectFailed,
    }
}

/// The local port of this connection: without one, the kernel found none.
pub fn own_port(evidence: &Evidence) -> Option<NonZeroU16> {
    let PriorReports { first_port, previous_port, .. } = evidence.prior;
    // inet_sport may still hold that of the socket's last connection.
    evidence.report.ends.local.port.filter(|port| first_port.is_some() || Some(*port) != previous_port)
}
