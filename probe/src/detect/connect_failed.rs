//! A connect that failed, other than because its owner gave it up.
//!
//! A host may have thousands of these in a second, so that one costs little more than its message.

#[cfg(test)]
mod tests;

use super::{
    connect_attempt::{ConnectAttempt, may_end},
    detector::{Context, Detector, finding_of, who},
    tuples::Tuples,
};
use crate::model::{
    Cause, CauseKind, Connection, DiagEntry, Edge, Errno, Finding, FindingKind, Host, Mono, PortRange,
    Protocol, SocketIdentity, SocketTable, State, Transition,
};

/// The widest ephemeral range worth recommending: the ports below it belong to services.
const WIDE: PortRange = 10_000..=65_535;

/// Finds connects that ended before the handshake did.
pub struct ConnectFailed {
    host: Host,
    tuples: Tuples,
    /// The process whose TCP socket last failed to connect before a SYN was sent, and when.
    before_syn: Option<(u32, Mono)>,
    /// Whether to index pre-existing sockets.
    indexes_existing: bool,
}

impl ConnectFailed {
    /// A detector for a stream from this host. `indexes_existing`: whether pre-existing sockets can turn out to hold
    /// a 4-tuple, which only transitions show.
    pub fn new(host: &Host, indexes_existing: bool) -> Self {
        Self { host: host.clone(), tuples: Tuples::default(), before_syn: None, indexes_existing }
    }

    /// The message and the remedy; `None` where the owner gave the connect up, or may have.
    fn explain(
        &mut self,
        failed: &ConnectAttempt<'_>,
        holder: Option<String>,
    ) -> Option<(String, Option<String>)> {
        if self.is_reported_by_subflow(failed) {
            return None;
        }
        let reason = self.reason(failed, holder)?;
        let ConnectAttempt { identity: SocketIdentity { netns, endpoints, .. }, owner, cause, .. } = *failed;
        let from = endpoints.local.port.map(|_| format!(" from {}", endpoints.local)).unwrap_or_default();
        // An MPTCP socket has the addresses of its first subflow, which may not have got any.
        let to = endpoints.remote.port.map(|_| format!(" to {}", endpoints.remote)).unwrap_or_default();
        let message = format!("{} could not connect{from}{to}: {reason}", who(owner));
        let remedy =
            (cause == Cause::NoLocalPort).then(|| widen(self.host.ephemeral_in(netns), Exhausted::Connect));
        Some((message, remedy))
    }

    /// Whether an MPTCP socket failed because of its first subflow, which has a finding of its own. A route is looked up
    /// before the subflow leaves CLOSE, so that without one there is no transition of the subflow (`tcp_v4_connect`).
    fn is_reported_by_subflow(&mut self, failed: &ConnectAttempt<'_>) -> bool {
        let process = failed.owner.task.as_ref().map(|task| task.pid);
        let is_before_syn =
            matches!(failed.cause, Cause::TupleInUse | Cause::NoLocalPort | Cause::ConnectFailed);
        if failed.identity.protocol == Protocol::Tcp {
            if is_before_syn {
                self.before_syn = process.map(|process| (process, failed.at));
            }
            return false;
        }
        let is_its_own = |(of, at): (u32, Mono)| {
            Some(of) == process && failed.lasted.is_none_or(|lasted| failed.at.since(at) <= lasted)
        };
        !is_before_syn || self.before_syn.is_some_and(is_its_own)
    }

    fn reason(&self, failed: &ConnectAttempt<'_>, holder: Option<String>) -> Option<String> {
        let in_syn_recv = failed.state == State::SynRecv;
        Some(match failed.cause {
            Cause::RstReceived(_) if in_syn_recv => {
                "the peer reset the connection during the handshake".to_owned()
            }
            Cause::RstReceived(_) => {
                "refused with an RST (no process listens on that port, or a firewall rejects it)".to_owned()
            }
            Cause::PortUnreachable => {
                "refused with an ICMP port unreachable (typically a firewall's REJECT rule)".to_owned()
            }
            Cause::RstOrPortUnreachable => "refused with an RST or an ICMP port unreachable".to_owned(),
            Cause::IcmpError(errno) => format!("an ICMP error arrived: {}", unreachable(errno)),
            Cause::IcmpErrorOrTimeout(errno) => {
                format!("an ICMP error arrived or the route was lost: {}", unreachable(errno))
            }
            Cause::Timeout(_, errno) if errno != Errno::ETIMEDOUT => {
                format!("timed out after an ICMP error arrived or the route was lost: {}", unreachable(errno))
            }
            Cause::Destroyed => {
                "an administrator destroyed the socket, over sock_diag (`ss -K`) or by BPF".to_owned()
            }
            Cause::TupleInUse => {
                let holder = holder.unwrap_or_else(|| "another connection or its TIME_WAIT".to_owned());
                format!("EADDRNOTAVAIL before a SYN was sent: {holder} has the same 4-tuple")
            }
            Cause::NoLocalPort => {
                let range =
                    self.host.ephemeral_in(failed.identity.netns).map(range_and_size).unwrap_or_default();
                format!(
                    "EADDRNOTAVAIL before a SYN was sent: no local port is free for this destination{range}"
                )
            }
            Cause::ConnectFailed if failed.identity.protocol == Protocol::Mptcp => {
                "the kernel failed its MPTCP socket before a subflow sent a SYN: no route, a policy, or no memory".to_owned()
            }
            Cause::ConnectFailed => {
                "the kernel failed it before a SYN was sent: no route, a policy, or no memory".to_owned()
            }
            cause if cause.kind() == CauseKind::Timer && in_syn_recv => {
                "timed out: the SYN+ACK was not acknowledged".to_owned()
            }
            cause if cause.kind() == CauseKind::Timer => {
                format!(
                    "timed out: {} (a firewall drops them, or the host is down)",
                    failed.unanswered()
                )
            }
            // The owner gave it up, or may have.
            _ => return None,
        })
    }

    /// Who has the 4-tuple of this connect, as the subject of a clause.
    fn holder(&mut self, transition: &Transition, sockets: &dyn SocketTable) -> Option<String> {
        let holder = self.tuples.holder(transition, sockets)?;
        Some(match holder.left {
            None => format!("a connection of {}", who(&holder.owner)),
            Some(left) => {
                let ago = transition.at.since(left).as_secs();
                format!("the TIME_WAIT that {} left {ago} s ago", who(&holder.owner))
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
        let explained = ConnectAttempt::of_transition(context).and_then(|failed| {
            let in_use = failed.cause == Cause::TupleInUse;
            let holder = if in_use { self.holder(transition, context.sockets) } else { None };
            self.explain(&failed, holder)
        });
        self.tuples.observe(transition);
        let (message, remedy) = explained?;
        Some(Finding { remedy, ..context.finding(FindingKind::ConnectFailed, message) })
    }

    fn existing(&mut self, _at: Mono, sockets: &[DiagEntry]) {
        if self.indexes_existing {
            sockets.iter().for_each(|socket| self.tuples.existing(socket));
        }
    }

    fn examines(&self, edge: Edge) -> bool {
        may_end(edge)
    }

    fn ended(&mut self, connection: &Connection) -> Option<Finding> {
        let failed = ConnectAttempt::of_connection(connection)?;
        let (message, remedy) = self.explain(&failed, None)?;
        Some(Finding { remedy, ..finding_of(connection, FindingKind::ConnectFailed, message) })
    }

    fn lost(&mut self) {
        self.tuples.clear();
    }
}

/// What an ICMP error means, by the error number that the kernel makes of it.
fn unreachable(errno: Errno) -> String {
    let meaning = match errno {
        Errno::ENETUNREACH => "the network is unreachable",
        Errno::EHOSTUNREACH => "the host is unreachable, or a firewall rejects the connection",
        Errno::ENOPROTOOPT => "the host does not support TCP",
        Errno::EACCES => "a firewall rejects the connection",
        other => return other.to_string(),
    };
    format!("{meaning} ({errno})")
}

fn range_and_size(range: &PortRange) -> String {
    format!(
        "; net.ipv4.ip_local_port_range is {}-{} ({} ports), unless the socket has a range of its own \
         (IP_LOCAL_PORT_RANGE)",
        range.start(),
        range.end(),
        range.len()
    )
}

/// The call that found no free ephemeral port.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Exhausted {
    /// connect(2), which needs a port that is free for its destination.
    Connect,
    /// bind(2) to port 0, which needs one that no socket has.
    Bind,
}

/// The remedy for a namespace without free ephemeral ports.
pub fn widen(range: Option<&PortRange>, call: Exhausted) -> String {
    let is_wide = range.is_some_and(|range| range.start() <= WIDE.start() && range.end() == WIDE.end());
    let share = match call {
        Exhausted::Connect => {
            "where TIME_WAIT holds the ports, set net.ipv4.tcp_tw_reuse=1 so that connect reuses them"
        }
        Exhausted::Bind => {
            "where the socket connects afterwards, set IP_BIND_ADDRESS_NO_PORT before bind, so that connect \
                            picks a port that is free for its destination"
        }
    };
    if is_wide {
        return format!(
            "use more local addresses, or reuse connections instead of opening new ones: the port range is wide already; \
             {share}"
        );
    }
    format!(
        "widen the range: sysctl -w net.ipv4.ip_local_port_range=\"{} {}\", and add the servers' ports in it to \
         net.ipv4.ip_local_reserved_ports, which must leave some; where the socket set IP_LOCAL_PORT_RANGE, widen that; \
         {share}",
        WIDE.start(),
        WIDE.end(),
    )
}
