//! Several outgoing connections from one local address and port.
//!
//! A connection is its four-tuple, so that nothing is wrong with it; but it surprises whoever tells
//! connections apart by the local port, and it takes SO_REUSEPORT, SO_REUSEADDR or the kernel's own
//! choice to come about.
//!
//! A connection older than the tracer does not say which side opened it. It counts as outgoing where nobody
//! listened on its port when the trace began, and is named only as one that a new connection shares with.

use std::hash::BuildHasher as _;

use foldhash::{HashSet, fast::RandomState};

use super::{Context, Detector, socket_multimap::SocketMultimap, who};
use crate::model::{
    DiagEntry, Edge, Endpoint, Finding, FindingKind, KnownSocket, Mono, Open, Owner, Protocol, State,
    Transition,
};

/// How many sharers a sentence names.
const NAMED: usize = 3;

/// Remembers the live outgoing connections of every local address and port.
pub struct PortSharing {
    hasher: RandomState,
    /// The numbers of their sockets; the cookie, for one from the snapshot.
    by_place: SocketMultimap,
    /// Namespaces and the ports that were listened on in them before.
    served: HashSet<(u32, u16)>,
    /// Whether it has use for the sockets that were there before.
    remembers: bool,
}

/// A namespace, and an address and port in it.
type NetnsEndpoint = (u32, Endpoint);

/// A connection that another one shares its place with.
struct Sharer<'a> {
    remote: Endpoint,
    owner: &'a Owner,
    /// The transition that established it; `None` for one that was there before.
    seq: Option<u64>,
}

impl PortSharing {
    /// One that `remembers` the sockets that were there before, for the transitions to come.
    pub fn new(remembers: bool) -> Self {
        Self {
            hasher: RandomState::default(),
            by_place: SocketMultimap::default(),
            served: HashSet::default(),
            remembers,
        }
    }

    /// Takes in a connection that has just been established, and says whom it shares with.
    fn join(&mut self, place: NetnsEndpoint, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        let hash = self.hasher.hash_one(place);
        // The snapshot may have shown it between its first report and this one.
        self.by_place.remove(hash, |number| is(number, transition));
        let served = self.served.contains(&(place.0, place.1.port_or_zero()));
        let remote = transition.ends.remote.canonical();
        let others: Vec<Sharer<'_>> = self
            .by_place
            .at(hash)
            .filter_map(|number| sharer(place, context.others.find(number)?))
            .filter(|sharer| sharer.remote != remote && (sharer.seq.is_some() || !served))
            .collect();
        let finding = (!others.is_empty()).then(|| {
            let evidence = others.iter().filter_map(|sharer| sharer.seq).chain([transition.seq]).collect();
            let message = message(transition, &others);
            Finding { evidence, ..context.finding(FindingKind::PortSharing, message) }
        });
        self.by_place.add(hash, transition.socket.number);
        finding
    }
}

impl Detector for PortSharing {
    fn watches(&self, (_, new): Edge) -> bool {
        matches!(new, State::Established | State::Close)
    }

    fn observe(&mut self, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        let joins = transition.new == State::Established && is_outgoing(context);
        // An MPTCP socket has the ends of its first subflow.
        let is_tcp = transition.protocol == Protocol::Tcp && transition.ends.local.port.is_some();
        if !is_tcp || !(joins || transition.new == State::Close) {
            return None;
        }
        // Without namespaces, two of them with one loopback address would look like sharing.
        let place = (transition.netns?, transition.ends.local.canonical());
        if joins {
            return self.join(place, context);
        }
        self.by_place.remove(self.hasher.hash_one(place), |number| is(number, transition));
        None
    }

    fn existing(&mut self, _at: Mono, sockets: &[DiagEntry]) {
        let has_use = |socket: &&DiagEntry| socket.protocol == Protocol::Tcp && socket.is_full();
        let sockets = || sockets.iter().filter(has_use).filter(|_| self.remembers);
        let port = |socket: &DiagEntry| (socket.netns, socket.ends.local.port_or_zero());
        let listen = sockets().filter(|socket| socket.state == State::Listen);
        let served: HashSet<(u32, u16)> = listen.map(port).collect();
        // A server's port has as many as the server has connections.
        let may_share =
            |socket: &&DiagEntry| socket.state != State::SynSent && !served.contains(&port(socket));
        for socket in sockets().filter(may_share) {
            let place = self.hasher.hash_one((socket.netns, socket.ends.local.canonical()));
            self.by_place.add(place, socket.cookie);
        }
        self.served = served;
    }

    /// Any of them may have ended unheard.
    fn lost(&mut self) {
        self.by_place.clear();
    }
}

/// Whether the socket of that number is the transition's.
fn is(number: u64, transition: &Transition) -> bool {
    number == transition.socket.number || Some(number) == transition.cookie
}

/// The socket, if it is at that place.
fn sharer(place: NetnsEndpoint, other: KnownSocket<'_>) -> Option<Sharer<'_>> {
    let is_there = (other.netns, other.ends.local.canonical()) == (Some(place.0), place.1);
    is_there.then(|| Sharer {
        remote: other.ends.remote.canonical(),
        owner: other.owner,
        seq: other.established(),
    })
}

fn is_outgoing(context: &Context<'_>) -> bool {
    matches!(context.open, Some(Open::Active | Open::Simultaneous | Open::SelfConnect))
}

fn message(transition: &Transition, others: &[Sharer<'_>]) -> String {
    let named: Vec<String> = others
        .iter()
        .take(NAMED)
        .map(|sharer| format!("{} ({})", sharer.remote, who(sharer.owner)))
        .collect();
    let more = match others.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "{} connected from {} to {}; connections from there already lead to {}{more}",
        who(&transition.owner),
        transition.ends.local,
        transition.ends.remote,
        named.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use State::*;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        detect::testing::{Story, endpoint},
        model::testing::listed,
    };

    const OPEN: [State; 3] = [Close, SynSent, Established];
    const LOCAL: &str = "127.0.0.1:12345";

    fn story() -> Story<PortSharing> {
        Story::new(PortSharing::new(true))
    }

    #[test]
    fn every_new_sharer_is_told_once() {
        let mut story = story();
        assert_eq!(story.tell(1, (LOCAL, "127.0.0.1:80"), &OPEN), []);
        let findings = story.tell(2, (LOCAL, "127.0.0.1:4321"), &OPEN);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].evidence, [2, 4]);
        insta::assert_snapshot!(findings[0].message, @"client[100] connected from 127.0.0.1:12345 to 127.0.0.1:4321; connections from there already lead to 127.0.0.1:80 (client[100])");
        assert_eq!(story.tell(3, (LOCAL, "127.0.0.1:81"), &OPEN).len(), 1);
        assert_eq!(story.tell(4, (LOCAL, "127.0.0.1:82"), &OPEN).len(), 1);
        let findings = story.tell(5, (LOCAL, "127.0.0.1:83"), &OPEN);
        insta::assert_snapshot!(findings[0].message, @"client[100] connected from 127.0.0.1:12345 to 127.0.0.1:83; connections from there already lead to 127.0.0.1:80 (client[100]), 127.0.0.1:4321 (client[100]), 127.0.0.1:81 (client[100]) and 1 more");
    }

    #[test]
    fn only_the_living_share() {
        let mut story = story();
        story.tell(1, (LOCAL, "127.0.0.1:80"), &OPEN);
        story.tell(1, (LOCAL, "127.0.0.1:80"), &[Established, FinWait1, FinWait2, Close]);
        assert_eq!(story.tell(2, (LOCAL, "127.0.0.1:4321"), &OPEN), []);
    }

    #[test]
    fn what_is_not_shared_is_not_told() {
        let mut story = story();
        story.tell(1, (LOCAL, "127.0.0.1:80"), &OPEN);
        assert_eq!(story.tell(2, ("127.0.0.1:12346", "127.0.0.1:4321"), &OPEN), [], "another port");
        assert_eq!(story.tell(3, ("127.0.0.2:12345", "127.0.0.1:4321"), &OPEN), [], "another address");
        assert_eq!(story.tell(4, (LOCAL, "10.0.0.1:5"), &[Close, SynSent, Close]), [], "refused");
        assert_eq!(story.tell(5, (LOCAL, "10.0.0.1:5"), &[Listen, SynRecv, Established]), [], "accepted");
        story.enter(Some(2));
        assert_eq!(story.tell(6, (LOCAL, "127.0.0.1:4321"), &OPEN), [], "another namespace");
        story.enter(None);
        assert_eq!(story.tell(7, (LOCAL, "127.0.0.1:4321"), &OPEN), [], "who knows where");
    }

    #[test]
    fn an_older_connection_is_a_sharer_where_nobody_listened() {
        let there = |state| listed(1, state, LOCAL, "127.0.0.1:80").held_by(300, "daemon");
        let mut story = story();
        story.existing(&[there(Established)]);
        let findings = story.tell(2, (LOCAL, "127.0.0.1:4321"), &OPEN);
        assert_eq!(findings[0].evidence, [2]);
        insta::assert_snapshot!(findings[0].message, @"client[100] connected from 127.0.0.1:12345 to 127.0.0.1:4321; connections from there already lead to 127.0.0.1:80 (daemon[300])");
        story.tell(1, (LOCAL, "127.0.0.1:80"), &[Established, Close]);
        story.tell(2, (LOCAL, "127.0.0.1:4321"), &[Established, Close]);
        assert_eq!(story.tell(3, (LOCAL, "127.0.0.1:81"), &OPEN), [], "both are gone");

        let listener = listed(9, Listen, "0.0.0.0:12345", "0.0.0.0:0");
        for rows in [vec![there(Established), listener], vec![there(SynSent)], vec![there(TimeWait)]] {
            let mut story = self::story();
            story.existing(&rows);
            assert_eq!(story.tell(2, (LOCAL, "127.0.0.1:4321"), &OPEN), [], "{:?}", rows[0].state);
        }
    }

    #[test]
    fn one_that_the_snapshot_shows_too_is_one() {
        let mut story = story();
        story.existing(&[listed(1, Established, LOCAL, "127.0.0.1:80")]);
        assert_eq!(story.tell(1, (LOCAL, "127.0.0.1:80"), &OPEN), []);
        let findings = story.tell(2, (LOCAL, "127.0.0.1:81"), &OPEN);
        insta::assert_snapshot!(findings[0].message, @"client[100] connected from 127.0.0.1:12345 to 127.0.0.1:81; connections from there already lead to 127.0.0.1:80 (client[100])");
    }

    #[test]
    fn a_v4_mapped_address_is_the_same_place() {
        let mut story = story();
        story.tell(1, (LOCAL, "127.0.0.1:80"), &OPEN);
        let mapped = ("[::ffff:127.0.0.1]:12345", "[::ffff:127.0.0.1]:81");
        assert_eq!(story.tell(2, mapped, &OPEN).len(), 1);
    }

    proptest! {
        #[test]
        fn all_but_the_first_share(local in endpoint(), remotes in prop::collection::hash_set(endpoint(), 1..6)) {
            let mut story = story();
            let found: Vec<usize> = remotes
                .iter()
                .zip(1..)
                .map(|(remote, number)| story.tell(number, (&local, remote), &OPEN).len())
                .collect();
            prop_assert_eq!(found[0], 0);
            prop_assert!(found[1..].iter().all(|found| *found == 1));
        }
    }
}
