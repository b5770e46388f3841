//! Several outgoing connections from one local address and port.
//!
//! The 4-tuple identifies a connection, so nothing is wrong with that; but it misleads whoever identifies connections by
//! the local port. It takes SO_REUSEPORT, SO_REUSEADDR or the kernel's own port selection.
//!
//! A pre-existing connection does not show which side opened it. It counts as outgoing where no socket listened on its
//! port when the trace began, and is only named as one that shares with a new connection.

use std::hash::BuildHasher as _;

use foldhash::{HashSet, fast::RandomState};

use super::{
    detector::{Context, Detector, who},
    socket_multimap::SocketMultimap,
};
use crate::model::{
    DiagEntry, Edge, Endpoint, Finding, FindingKind, KnownSocket, Mono, Open, Owner, Protocol, State,
    Transition,
};

/// How many connections a message names.
const NAMED: usize = 3;

/// Tracks the live outgoing connections of every local address and port.
pub struct PortSharing {
    hasher: RandomState,
    /// The numbers of their sockets by the hash of the local endpoint; the cookies of pre-existing ones.
    by_local: SocketMultimap,
    /// Namespaces and ports on which sockets listened when the trace began.
    listening: HashSet<(u32, u16)>,
    /// Whether to index pre-existing sockets.
    indexes_existing: bool,
}

/// A namespace, and an endpoint in it.
type NetnsEndpoint = (u32, Endpoint);

/// A connection with the same local endpoint as another one.
struct Sharer<'a> {
    remote: Endpoint,
    owner: &'a Owner,
    /// The transition that established it; `None` for a pre-existing one.
    seq: Option<u64>,
}

impl PortSharing {
    /// `indexes_existing`: whether new connections may share with pre-existing ones, which only transitions show.
    pub fn new(indexes_existing: bool) -> Self {
        Self {
            hasher: RandomState::default(),
            by_local: SocketMultimap::default(),
            listening: HashSet::default(),
            indexes_existing,
        }
    }

    /// Adds a connection that was just established, and finds those that it shares with.
    fn add(&mut self, local: NetnsEndpoint, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        let hash = self.hasher.hash_one(local);
        // The snapshot may have listed it between its first report and this one.
        self.by_local.remove(hash, |number| transition.is_of(number));
        let was_listening = self.listening.contains(&(local.0, local.1.port_or_zero()));
        let remote = transition.identity.endpoints.remote.canonical();
        let sharers: Vec<Sharer<'_>> = self
            .by_local
            .get(hash)
            .filter_map(|number| sharer(local, context.sockets.find(number)?))
            .filter(|sharer| sharer.remote != remote && (sharer.seq.is_some() || !was_listening))
            .collect();
        let finding = (!sharers.is_empty()).then(|| {
            let evidence = sharers.iter().filter_map(|sharer| sharer.seq).chain([transition.seq]).collect();
            let message = message(transition, &sharers);
            Finding { evidence, ..context.finding(FindingKind::PortSharing, message) }
        });
        self.by_local.add(hash, transition.socket.number);
        finding
    }
}

impl Detector for PortSharing {
    fn watches(&self, (_, new): Edge) -> bool {
        matches!(new, State::Established | State::Close)
    }

    fn observe(&mut self, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        let is_new = transition.new == State::Established && context.open.is_some_and(Open::is_outgoing);
        // An MPTCP socket has the endpoints of its first subflow.
        let is_tcp = transition.identity.protocol == Protocol::Tcp
            && transition.identity.endpoints.local.port.is_some();
        if !is_tcp || !(is_new || transition.new == State::Close) {
            return None;
        }
        // Without namespaces, the same loopback address in two of them would look like sharing.
        let local = (transition.identity.netns?, transition.identity.endpoints.local.canonical());
        if is_new {
            return self.add(local, context);
        }
        self.by_local.remove(self.hasher.hash_one(local), |number| transition.is_of(number));
        None
    }

    fn existing(&mut self, _at: Mono, sockets: &[DiagEntry]) {
        let may_matter = |socket: &&DiagEntry| socket.identity.protocol == Protocol::Tcp && socket.is_full();
        let sockets = || sockets.iter().filter(may_matter).filter(|_| self.indexes_existing);
        let port =
            |socket: &DiagEntry| (socket.identity.netns, socket.identity.endpoints.local.port_or_zero());
        let listen = sockets().filter(|socket| socket.state == State::Listen);
        let listening: HashSet<(u32, u16)> = listen.map(port).collect();
        // A server's port has one for each of its connections.
        let may_share =
            |socket: &&DiagEntry| socket.state != State::SynSent && !listening.contains(&port(socket));
        for socket in sockets().filter(may_share) {
            let hash =
                self.hasher.hash_one((socket.identity.netns, socket.identity.endpoints.local.canonical()));
            self.by_local.add(hash, socket.cookie);
        }
        self.listening = listening;
    }

    /// Any of them may have ended without a report.
    fn lost(&mut self) {
        self.by_local.clear();
    }
}

/// The socket, where it has this local endpoint.
fn sharer(local: NetnsEndpoint, other: KnownSocket<'_>) -> Option<Sharer<'_>> {
    let shares =
        (other.identity.netns, other.identity.endpoints.local.canonical()) == (Some(local.0), local.1);
    shares.then(|| Sharer {
        remote: other.identity.endpoints.remote.canonical(),
        owner: other.owner,
        seq: other.established(),
    })
}

fn message(transition: &Transition, sharers: &[Sharer<'_>]) -> String {
    let named: Vec<String> = sharers
        .iter()
        .take(NAMED)
        .map(|sharer| format!("{} ({})", sharer.remote, who(sharer.owner)))
        .collect();
    let more = match sharers.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "{} connected from {} to {}, a local port that it shares with connections to {}{more}",
        who(&transition.owner),
        transition.identity.endpoints.local,
        transition.identity.endpoints.remote,
        named.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use State::*;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        detect::testing::{Simulation, endpoint},
        model::testing::diag_entry,
    };

    const OPEN: [State; 3] = [Close, SynSent, Established];
    const LOCAL: &str = "127.0.0.1:12345";

    fn simulation() -> Simulation<PortSharing> {
        Simulation::new(PortSharing::new(true))
    }

    #[test]
    fn each_new_sharer_is_one_finding() {
        let mut simulation = simulation();
        assert_eq!(simulation.moves(1, (LOCAL, "127.0.0.1:80"), &OPEN), []);
        let findings = simulation.moves(2, (LOCAL, "127.0.0.1:4321"), &OPEN);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].evidence, [2, 4]);
        insta::assert_snapshot!(findings[0].message, @"client[100] connected from 127.0.0.1:12345 to 127.0.0.1:4321, a local port that it shares with connections to 127.0.0.1:80 (client[100])");
        assert_eq!(simulation.moves(3, (LOCAL, "127.0.0.1:81"), &OPEN).len(), 1);
        assert_eq!(simulation.moves(4, (LOCAL, "127.0.0.1:82"), &OPEN).len(), 1);
        let findings = simulation.moves(5, (LOCAL, "127.0.0.1:83"), &OPEN);
        insta::assert_snapshot!(findings[0].message, @"client[100] connected from 127.0.0.1:12345 to 127.0.0.1:83, a local port that it shares with connections to 127.0.0.1:80 (client[100]), 127.0.0.1:4321 (client[100]), 127.0.0.1:81 (client[100]) and 1 more");
    }

    #[test]
    fn only_live_connections_share() {
        let mut simulation = simulation();
        simulation.moves(1, (LOCAL, "127.0.0.1:80"), &OPEN);
        simulation.moves(1, (LOCAL, "127.0.0.1:80"), &[Established, FinWait1, FinWait2, Close]);
        assert_eq!(simulation.moves(2, (LOCAL, "127.0.0.1:4321"), &OPEN), []);
    }

    #[test]
    fn another_port_address_or_namespace_is_not_shared() {
        let mut simulation = simulation();
        simulation.moves(1, (LOCAL, "127.0.0.1:80"), &OPEN);
        assert_eq!(simulation.moves(2, ("127.0.0.1:12346", "127.0.0.1:4321"), &OPEN), [], "another port");
        assert_eq!(simulation.moves(3, ("127.0.0.2:12345", "127.0.0.1:4321"), &OPEN), [], "another address");
        assert_eq!(simulation.moves(4, (LOCAL, "10.0.0.1:5"), &[Close, SynSent, Close]), [], "refused");
        assert_eq!(
            simulation.moves(5, (LOCAL, "10.0.0.1:5"), &[Listen, SynRecv, Established]),
            [],
            "accepted"
        );
        simulation.enter(Some(2));
        assert_eq!(simulation.moves(6, (LOCAL, "127.0.0.1:4321"), &OPEN), [], "another namespace");
        simulation.enter(None);
        assert_eq!(simulation.moves(7, (LOCAL, "127.0.0.1:4321"), &OPEN), [], "an unknown namespace");
    }

    #[test]
    fn a_pre_existing_connection_is_a_sharer_where_no_socket_listened() {
        let existing = |state| diag_entry(1, state, LOCAL, "127.0.0.1:80").held_by(300, "daemon");
        let mut simulation = simulation();
        simulation.existing(&[existing(Established)]);
        let findings = simulation.moves(2, (LOCAL, "127.0.0.1:4321"), &OPEN);
        assert_eq!(findings[0].evidence, [2]);
        insta::assert_snapshot!(findings[0].message, @"client[100] connected from 127.0.0.1:12345 to 127.0.0.1:4321, a local port that it shares with connections to 127.0.0.1:80 (daemon[300])");
        simulation.moves(1, (LOCAL, "127.0.0.1:80"), &[Established, Close]);
        simulation.moves(2, (LOCAL, "127.0.0.1:4321"), &[Established, Close]);
        assert_eq!(simulation.moves(3, (LOCAL, "127.0.0.1:81"), &OPEN), [], "both are closed");

        let listener = diag_entry(9, Listen, "0.0.0.0:12345", "0.0.0.0:0");
        for rows in [vec![existing(Established), listener], vec![existing(SynSent)], vec![existing(TimeWait)]]
        {
            let mut simulation = self::simulation();
            simulation.existing(&rows);
            assert_eq!(simulation.moves(2, (LOCAL, "127.0.0.1:4321"), &OPEN), [], "{:?}", rows[0].state);
        }
    }

    #[test]
    fn a_new_connection_that_the_snapshot_lists_counts_once() {
        let mut simulation = simulation();
        simulation.existing(&[diag_entry(1, Established, LOCAL, "127.0.0.1:80")]);
        assert_eq!(simulation.moves(1, (LOCAL, "127.0.0.1:80"), &OPEN), []);
        let findings = simulation.moves(2, (LOCAL, "127.0.0.1:81"), &OPEN);
        insta::assert_snapshot!(findings[0].message, @"client[100] connected from 127.0.0.1:12345 to 127.0.0.1:81, a local port that it shares with connections to 127.0.0.1:80 (client[100])");
    }

    #[test]
    fn a_v4_mapped_address_is_the_same_local_endpoint() {
        let mut simulation = simulation();
        simulation.moves(1, (LOCAL, "127.0.0.1:80"), &OPEN);
        let mapped = ("[::ffff:127.0.0.1]:12345", "[::ffff:127.0.0.1]:81");
        assert_eq!(simulation.moves(2, mapped, &OPEN).len(), 1);
    }

    proptest! {
        #[test]
        fn all_but_the_first_share(local in endpoint(), remotes in prop::collection::hash_set(endpoint(), 1..6)) {
            let mut simulation = simulation();
            let found: Vec<usize> = remotes
                .iter()
                .zip(1..)
                .map(|(remote, number)| simulation.moves(number, (&local, remote), &OPEN).len())
                .collect();
            prop_assert_eq!(found[0], 0);
            prop_assert!(found[1..].iter().all(|found| *found == 1));
        }
    }
}
