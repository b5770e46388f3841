//! A connect that came to nothing, other than by its owner's own will.
//!
//! A host may have thousands of these in a second, so that one costs no more than its sentence.

#[cfg(test)]
mod tests;

use super::{Context, Detector, finding_of, tuples::Tuples, who};
use crate::model::{
    Cause,
    CauseKind::{Kernel, Segment, Timer},
    Connection, DiagEntry, Edge, Endpoints, Errno, Finding, FindingKind, Host, Mono, Open, Owner, PortRange,
    Protocol, SocketTable, State, Transition,
};

/// The widest ephemeral range that is worth naming: what is below it belongs to services.
const WIDE: PortRange = 10_000..=65_535;

/// Looks at the ends of sockets that were not established yet.
pub struct ConnectFailed {
    host: Host,
    tuples: Tuples,
    /// Whether it has use for the sockets that were there before.
    remembers: bool,
}

/// A connect that failed, as its transition or its connection tells.
struct Failed<'a> {
    /// SYN_SENT, or SYN_RECV in a simultaneous open.
    state: State,
    netns: Option<u32>,
    ends: Endpoints,
    owner: &'a Owner,
    cause: &'a Cause,
    segs_out: Option<u32>,
}

impl ConnectFailed {
    /// A detector for a stream that was taken on this host. It `remembers` the sockets that were there before where a
    /// transition may ask for them.
    pub fn new(host: &Host, remembers: bool) -> Self {
        Self { host: host.clone(), tuples: Tuples::default(), remembers }
    }

    /// What happened, in a sentence, and its remedy. `None` where the owner gave it up, or may have.
    fn words(&self, failed: &Failed<'_>, holder: Option<String>) -> Option<(String, Option<String>)> {
        let why = self.why(failed, holder)?;
        let Failed { ends, owner, cause, .. } = failed;
        let from = ends.local.port.map(|_| format!(" from {}", ends.local)).unwrap_or_default();
        let message = format!("{} could not connect{from} to {}: {why}", who(owner), ends.remote);
        let remedy =
            (cause.detail == Cause::NO_PORT_LEFT).then(|| widen(self.host.ephemeral_in(failed.netns)));
        Some((message, remedy))
    }

    fn why(&self, failed: &Failed<'_>, holder: Option<String>) -> Option<String> {
        let half_open = failed.state == State::SynRecv;
        let errno = failed.cause.errno;
        let unsent = "the kernel refused it without a packet";
        Some(match (failed.cause.kind, failed.cause.detail) {
            (Segment, Cause::RST) if half_open => "the peer reset it before it was established".to_owned(),
            (Segment, Cause::RST) => {
                "refused by an RST (nobody listens there, or a firewall rejects it)".to_owned()
            }
            (Segment, Cause::PORT_UNREACHABLE) => {
                "refused by an ICMP port unreachable (a firewall's way to reject)".to_owned()
            }
            (Segment, Cause::RST_OR_PORT_UNREACHABLE) => {
                "refused by an RST or an ICMP port unreachable".to_owned()
            }
            (Segment, Cause::ICMP_ERROR) => format!("an ICMP error came: {}", icmp(errno?)),
            (Timer, _) if half_open => "timed out: its SYN+ACK was never acknowledged".to_owned(),
            (Timer, _) => {
                format!("timed out{} (a firewall that drops, or a host that is down)", tries(failed))
            }
            (Kernel, Cause::DESTROYED) => "somebody closed it over sock_diag, as `ss -K` does".to_owned(),
            (Kernel, Cause::TUPLE_IN_USE) => {
                let holder = holder.unwrap_or_else(|| "another connection, or its TIME_WAIT, is".to_owned());
                format!("{unsent} (EADDRNOTAVAIL): {holder} between these two ends already")
            }
            (Kernel, Cause::NO_PORT_LEFT) => {
                let range = self.host.ephemeral_in(failed.netns).map(range_and_size).unwrap_or_default();
                format!("{unsent} (EADDRNOTAVAIL): no local port is left for this destination{range}")
            }
            (Kernel, Cause::REFUSED) => format!("{unsent}: no route, a policy, or no memory"),
            // Given up, or perhaps given up.
            _ => return None,
        })
    }

    /// Who has the four-tuple that was asked for, as the subject of a clause.
    fn holder(&mut self, transition: &Transition, others: &dyn SocketTable) -> Option<String> {
        let holder = self.tuples.holder(transition, others)?;
        Some(match holder.left {
            None => format!("a connection of {} is", who(&holder.owner)),
            Some(left) => {
                let ago = transition.at.since(left).as_secs();
                format!("the TIME_WAIT that {} left {ago} s ago is", who(&holder.owner))
            }
        })
    }
}

impl Detector for ConnectFailed {
    fn watches(&self, edge: Edge) -> bool {
        Tuples::watches(edge)
    }

    fn observe(&mut self, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        let failed = match transition.edge() {
            (State::SynSent, State::Close) => true,
            (State::SynRecv, State::Close) => context.open.is_some_and(was_active),
            _ => false,
        };
        let words = transition.cause.as_ref().filter(|_| failed && transition.protocol == Protocol::Tcp);
        let words = words.and_then(|cause| {
            let Transition { netns, ends, ref owner, old: state, segs_out, .. } = *transition;
            let taken = cause.detail == Cause::TUPLE_IN_USE;
            let holder = if taken { self.holder(transition, context.others) } else { None };
            self.words(&Failed { state, netns, ends, owner, cause, segs_out }, holder)
        });
        self.tuples.observe(transition);
        let (message, remedy) = words?;
        Some(Finding { remedy, ..context.finding(FindingKind::ConnectFailed, message) })
    }

    fn existing(&mut self, _at: Mono, sockets: &[DiagEntry]) {
        if self.remembers {
            sockets.iter().for_each(|socket| self.tuples.existing(socket));
        }
    }

    fn heeds(&self, edge: Edge) -> bool {
        matches!(edge, (State::SynSent | State::SynRecv, State::Close))
    }

    fn ended(&mut self, connection: &Connection) -> Option<Finding> {
        let state = match connection.path.last_edge() {
            Some((State::SynSent, State::Close)) => State::SynSent,
            Some((State::SynRecv, State::Close)) if was_active(connection.open) => State::SynRecv,
            _ => return None,
        };
        let failed = Failed {
            state,
            netns: connection.netns,
            ends: connection.ends,
            owner: &connection.owner,
            cause: connection.close.as_ref()?.cause.as_ref()?,
            segs_out: connection.counters.map(|counters| counters.segs_out),
        };
        let (message, remedy) = self.words(&failed, None)?;
        Some(Finding { remedy, ..finding_of(connection, FindingKind::ConnectFailed, message) })
    }

    fn lost(&mut self) {
        self.tuples.clear();
    }
}

fn was_active(open: Open) -> bool {
    matches!(open, Open::Active | Open::Simultaneous | Open::SelfConnect)
}

/// In SYN_SENT, every segment sent is a SYN.
fn tries(failed: &Failed<'_>) -> String {
    match failed.segs_out {
        Some(1) => ": its SYN went without an answer".to_owned(),
        Some(syns) => format!(": {syns} SYNs went without an answer"),
        None => ": its SYNs went without an answer".to_owned(),
    }
}

/// What the sender of an ICMP error says, by the error that the kernel makes of it.
fn icmp(errno: Errno) -> String {
    let words = match errno {
        Errno::ENETUNREACH => "the network is unreachable",
        Errno::EHOSTUNREACH => "the host is unreachable, or a firewall forbids it",
        Errno::ENOPROTOOPT => "the host does not speak TCP",
        Errno::EACCES => "a firewall forbids it",
        other => return other.to_string(),
    };
    format!("{words} ({errno})")
}

fn range_and_size(range: &PortRange) -> String {
    format!("; net.ipv4.ip_local_port_range is {}-{}, {} ports", range.start(), range.end(), range.len())
}

/// How more ports come about.
pub fn widen(range: Option<&PortRange>) -> String {
    let spread = "use more local addresses";
    let is_wide = range.is_some_and(|range| range.start() <= WIDE.start() && range.end() == WIDE.end());
    if is_wide {
        return format!(
            "the range is wide already: {spread}, or keep connections instead of opening new ones"
        );
    }
    format!(
        "widen the range: sysctl -w net.ipv4.ip_local_port_range=\"{} {}\" (and name the servers' ports in it in \
         net.ipv4.ip_local_reserved_ports); where the ports are in TIME_WAIT, net.ipv4.tcp_tw_reuse=1 lets \
         connect take them over",
        WIDE.start(),
        WIDE.end(),
    )
}
