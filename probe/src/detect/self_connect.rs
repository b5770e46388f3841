//! A socket that connected to itself.
//!
//! A SYN that arrives in SYN_SENT opens the connection, whoever sent it (RFC 9293 §3.5); and a SYN to the sender's own
//! address and port arrives at the sender. It happens to a client whose local port is the port that it connects to:
//! bound explicitly, or picked by the kernel from the ephemeral range while the server on that port is down. The server
//! then cannot bind.

use std::num::NonZeroU16;

use foldhash::HashMap;

use super::detector::{Context, Detector, finding_of, who};
use crate::model::{
    Connection, Edge, Endpoint, Finding, FindingKind, Host, Open, Owner, PortRange, SocketId, State,
};

/// Certain at SYN_SENT→SYN_RECV with equal endpoints, and not before: until then the connect can fail like any other.
pub struct SelfConnect {
    host: Host,
    /// The local ports with which sockets in SYN_SENT left CLOSE: the kernel picked any later one.
    bound: HashMap<SocketId, Option<NonZeroU16>>,
}

impl SelfConnect {
    /// A detector for a stream from this host.
    pub fn new(host: &Host) -> Self {
        Self { host: host.clone(), bound: HashMap::default() }
    }

    /// The message and the remedy. `picked`: whether the kernel picked the local port, where known.
    fn explain(
        &self,
        netns: Option<u32>,
        owner: &Owner,
        remote: Endpoint,
        picked: Option<bool>,
    ) -> (String, String) {
        let port = remote.port_or_zero();
        let range = self.host.ephemeral_in(netns);
        // It may be, where the range is unknown.
        let is_ephemeral = range.is_none_or(|range| range.contains(&port));
        let text = |range: &PortRange| format!("the ephemeral range {}-{}", range.start(), range.end());
        let location = range.map(|range| {
            let side = if is_ephemeral { "in" } else { "outside" };
            format!("; the port is {side} {}", text(range))
        });
        let how = match (picked, range) {
            (Some(true), Some(range)) if is_ephemeral => {
                format!("the kernel picked {port}, from {}, as the local port for {remote}", text(range))
            }
            // The range of another namespace, or one that changed since.
            (Some(true), _) => {
                format!("the kernel picked {port}, from the ephemeral range, as the local port for {remote}")
            }
            (Some(false), _) => {
                format!(
                    "it was bound to {remote}, and connected to that address{}",
                    location.unwrap_or_default()
                )
            }
            (None, _) => {
                format!("its local and remote endpoints are both {remote}{}", location.unwrap_or_default())
            }
        };
        (format!("{} connected to itself: {how}", who(owner)), remedy(port, picked, is_ephemeral))
    }
}

/// The remedy. `picked`: whether the kernel picked the local port, where known.
pub fn remedy(port: u16, picked: Option<bool>, is_ephemeral: bool) -> String {
    let unbind = "do not bind the client to the port that it connects to";
    match (picked, is_ephemeral) {
        (Some(true), _) => reserve(port),
        // Bound to a given port, or to one that the kernel picked in bind to port 0.
        (Some(false), true) => format!("{unbind}; if it bound port 0, {}", reserve(port)),
        (None, true) => format!("{}; if it was bound, {unbind}", reserve(port)),
        (_, false) => unbind.to_owned(),
    }
}

/// How to reserve a server's port.
pub fn reserve(port: u16) -> String {
    format!(
        "reserve the port so that the kernel does not pick it: sysctl -w net.ipv4.ip_local_reserved_ports={port} \
         (this replaces the list: include the ports already in it)"
    )
}

impl Detector for SelfConnect {
    fn watches(&self, edge: Edge) -> bool {
        matches!(edge, (State::Close, State::SynSent) | (State::SynSent, _))
    }

    fn observe(&mut self, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        match transition.edge() {
            (State::Close, State::SynSent) => {
                self.bound.insert(transition.socket, transition.identity.endpoints.local.port);
                None
            }
            (State::SynSent, new) => {
                let bound = self.bound.remove(&transition.socket);
                let port = transition.identity.endpoints.local.port?;
                let picked = bound.map(|bound| bound != Some(port));
                (new == State::SynRecv && transition.identity.endpoints.is_self()).then(|| {
                    let (message, remedy) = self.explain(
                        transition.identity.netns,
                        &transition.owner,
                        transition.identity.endpoints.remote,
                        picked,
                    );
                    Finding { remedy: Some(remedy), ..context.finding(FindingKind::SelfConnect, message) }
                })
            }
            _ => None,
        }
    }

    fn examines(&self, edge: Edge) -> bool {
        edge == (State::SynSent, State::SynRecv)
    }

    fn ended(&mut self, connection: &Connection) -> Option<Finding> {
        (connection.open == Open::SelfConnect).then(|| {
            let (message, remedy) = self.explain(
                connection.identity.netns,
                &connection.owner,
                connection.identity.endpoints.remote,
                None,
            );
            Finding { remedy: Some(remedy), ..finding_of(connection, FindingKind::SelfConnect, message) }
        })
    }

    /// Sockets may have left SYN_SENT without a report.
    fn lost(&mut self) {
        self.bound.clear();
    }
}

#[cfg(test)]
mod tests {
    use State::*;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        detect::testing::{Simulation, connection, endpoint, walk},
        model::testing::host,
    };

    const OPEN: [State; 4] = [Close, SynSent, SynRecv, Established];

    fn simulation() -> Simulation<SelfConnect> {
        Simulation::new(SelfConnect::new(&host()))
    }

    #[test]
    fn a_self_connect_of_a_bound_socket_is_found_in_syn_recv() {
        let endpoints = ("127.0.0.1:1314", "127.0.0.1:1314");
        let findings = simulation().moves(7, endpoints, &OPEN);
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!(finding.evidence, [1, 2]);
        insta::assert_snapshot!(finding.message, @"client[100] connected to itself: it was bound to 127.0.0.1:1314, and connected to that address; the port is outside the ephemeral range 32768-60999");
        insta::assert_snapshot!(finding.remedy.as_deref().unwrap_or_default(), @"do not bind the client to the port that it connects to");
    }

    #[test]
    fn an_accidental_self_connect_has_a_remedy() {
        let mut simulation = simulation();
        simulation.moves(7, ("127.0.0.1:0", "127.0.0.1:40001"), &[Close, SynSent]);
        let findings = simulation.moves(7, ("127.0.0.1:40001", "127.0.0.1:40001"), &OPEN[1..]);
        insta::assert_snapshot!(findings[0].message, @"client[100] connected to itself: the kernel picked 40001, from the ephemeral range 32768-60999, as the local port for 127.0.0.1:40001");
        insta::assert_snapshot!(findings[0].remedy.as_deref().unwrap_or_default(), @"reserve the port so that the kernel does not pick it: sysctl -w net.ipv4.ip_local_reserved_ports=40001 (this replaces the list: include the ports already in it)");
    }

    #[test]
    fn a_port_left_over_from_an_earlier_connection_is_not_bound() {
        let mut simulation = simulation();
        simulation.moves(7, ("127.0.0.1:50000", "127.0.0.1:40001"), &[Close, SynSent]);
        let findings = simulation.moves(7, ("127.0.0.1:40001", "127.0.0.1:40001"), &OPEN[1..]);
        assert!(findings[0].message.contains("the kernel picked 40001"), "{}", findings[0].message);
    }

    #[test]
    fn of_a_socket_first_seen_in_syn_sent_it_is_unknown_who_chose_the_port() {
        let findings = simulation().moves(7, ("127.0.0.1:1314", "127.0.0.1:1314"), &OPEN[1..]);
        insta::assert_snapshot!(findings[0].message, @"client[100] connected to itself: its local and remote endpoints are both 127.0.0.1:1314; the port is outside the ephemeral range 32768-60999");
    }

    #[test]
    fn another_namespace_may_have_another_range() {
        let mut simulation = simulation();
        simulation.moves(7, ("[::]:0", "[::1]:2000"), &[Close, SynSent]);
        let findings = simulation.moves(7, ("[::1]:2000", "[::1]:2000"), &OPEN[1..]);
        insta::assert_snapshot!(findings[0].message, @"client[100] connected to itself: the kernel picked 2000, from the ephemeral range, as the local port for [::1]:2000");
        assert!(
            findings[0].remedy.as_ref().is_some_and(|remedy| remedy.contains("ip_local_reserved_ports=2000"))
        );
    }

    #[test]
    fn a_bound_port_in_the_ephemeral_range_has_both_remedies() {
        let findings = simulation().moves(7, ("127.0.0.1:40001", "127.0.0.1:40001"), &OPEN);
        insta::assert_snapshot!(findings[0].remedy.as_deref().unwrap_or_default(), @"do not bind the client to the port that it connects to; if it bound port 0, reserve the port so that the kernel does not pick it: sysctl -w net.ipv4.ip_local_reserved_ports=40001 (this replaces the list: include the ports already in it)");
    }

    #[test]
    fn the_connection_alone_is_sufficient() {
        let path = [Close, SynSent, SynRecv, Established, FinWait1, Closing, Close];
        let end = |endpoints| connection(Open::SelfConnect, endpoints, &path, None);
        let finding = simulation()
            .detector()
            .ended(&end(("127.0.0.1:40001", "127.0.0.1:40001")))
            .expect("a self-connect");
        assert_eq!((finding.at.0, finding.evidence.len()), (9, 0));
        insta::assert_snapshot!(finding.message, @"client[100] connected to itself: its local and remote endpoints are both 127.0.0.1:40001; the port is in the ephemeral range 32768-60999");
        insta::assert_snapshot!(finding.remedy.unwrap_or_default(), @"reserve the port so that the kernel does not pick it: sysctl -w net.ipv4.ip_local_reserved_ports=40001 (this replaces the list: include the ports already in it); if it was bound, do not bind the client to the port that it connects to");
        let simultaneous = connection(Open::Simultaneous, ("10.0.0.1:1", "10.0.0.2:1"), &path, None);
        assert_eq!(simulation().detector().ended(&simultaneous), None);
    }

    #[test]
    fn the_same_port_at_another_address_is_no_self_connect() {
        let endpoints = ("127.0.0.1:1314", "127.0.0.2:1314");
        assert_eq!(simulation().moves(7, endpoints, &[Close, SynSent, Close]), []);
        assert_eq!(simulation().moves(7, endpoints, &OPEN), []);
    }

    #[test]
    fn a_refused_connect_to_its_own_endpoint_is_no_self_connect() {
        let endpoints = ("127.0.0.1:1314", "127.0.0.1:1314");
        assert_eq!(simulation().moves(7, endpoints, &[Close, SynSent, Close]), []);
    }

    proptest! {
        #[test]
        fn only_equal_endpoints_and_crossed_syns_are_a_self_connect(walk in walk(), local in endpoint(), remote in endpoint()) {
            let crossed = walk.windows(2).filter(|edge| *edge == [SynSent, SynRecv]).count();
            prop_assert_eq!(simulation().moves(7, (&local, &local), &walk).len(), crossed);
            prop_assume!(local != remote);
            prop_assert_eq!(simulation().moves(7, (&local, &remote), &walk), []);
        }
    }
}
