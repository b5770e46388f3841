//! Several outgoing connections from one local address and port.
//!
//! A connection is its four-tuple, so that nothing is wrong with it; but it surprises whoever tells
//! connections apart by the local port, and it takes SO_REUSEPORT, SO_REUSEADDR or the kernel's own
//! choice to come about.
//!
//! A connection older than the tracer does not say which side opened it. It counts as outgoing where nobody
//! listened on its port when the trace began, and is named only as one that a new connection shares with.

use foldhash::{HashMap, HashSet};

use super::{Context, Detector, who};
use crate::model::{Endpoint, Finding, FindingKind, Listed, Mono, Open, Owner, Protocol, State, Transition};

/// How many sharers a sentence names.
const NAMED: usize = 3;

/// Remembers the live outgoing connections of every local address and port.
pub struct PortSharing {
    by_place: HashMap<Place, Vec<Sharer>>,
    /// Namespaces and the ports that were listened on in them before.
    served: HashSet<(u32, u16)>,
    /// Whether it has use for the sockets that were there before.
    remembers: bool,
}

/// A namespace, and an address and port in it.
type Place = (u32, Endpoint);

struct Sharer {
    /// The socket's number; its cookie, for one from the snapshot.
    number: u64,
    remote: Endpoint,
    owner: Owner,
    /// The transition that established it; `None` for one from the snapshot.
    seq: Option<u64>,
}

impl Sharer {
    fn is(&self, transition: &Transition) -> bool {
        self.number == transition.socket.number || Some(self.number) == transition.cookie
    }
}

impl PortSharing {
    /// One that `remembers` the sockets that were there before, for the transitions to come.
    pub fn new(remembers: bool) -> Self {
        Self { by_place: HashMap::default(), served: HashSet::default(), remembers }
    }

    /// Takes in a connection that has just been established, and says whom it shares with.
    fn join(&mut self, place: Place, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        let served = self.served.contains(&(place.0, place.1.port_or_zero()));
        let here = self.by_place.entry(place).or_insert_with(|| Vec::with_capacity(1));
        // The snapshot may have shown it between its first report and this one.
        here.retain(|sharer| !sharer.is(transition));
        let remote = transition.ends.remote.canonical();
        let is_other = |sharer: &&Sharer| sharer.remote != remote && (sharer.seq.is_some() || !served);
        let others: Vec<&Sharer> = here.iter().filter(is_other).collect();
        let finding = (!others.is_empty()).then(|| {
            let evidence = others.iter().filter_map(|sharer| sharer.seq).chain([transition.seq]).collect();
            let explain = explain(transition, &others);
            Finding { evidence, ..context.finding(FindingKind::PortSharing, explain) }
        });
        here.push(Sharer {
            number: transition.socket.number,
            remote,
            owner: transition.owner.clone(),
            seq: Some(transition.seq),
        });
        finding
    }

    fn leave(&mut self, place: Place, transition: &Transition) {
        if let Some(here) = self.by_place.get_mut(&place) {
            here.retain(|sharer| !sharer.is(transition));
            if here.is_empty() {
                self.by_place.remove(&place);
            }
        }
    }
}

impl Detector for PortSharing {
    fn observe(&mut self, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        // An MPTCP socket has the ends of its first subflow.
        if transition.protocol != Protocol::Tcp || transition.ends.local.port.is_none() {
            return None;
        }
        // Without namespaces, two of them with one loopback address would look like sharing.
        let place = (transition.netns?, transition.ends.local.canonical());
        match transition.new {
            State::Established if is_outgoing(context) => self.join(place, context),
            State::Close => {
                self.leave(place, transition);
                None
            }
            _ => None,
        }
    }

    fn existing(&mut self, _at: Mono, socket: &Listed) {
        let local = socket.ends.local.canonical();
        if !self.remembers || socket.protocol != Protocol::Tcp || !socket.is_full() {
            return;
        }
        match socket.state {
            State::Listen => {
                self.served.insert((socket.netns, local.port_or_zero()));
            }
            State::SynSent => {}
            // Hardly any is shared.
            _ => self.by_place.entry((socket.netns, local)).or_insert_with(|| Vec::with_capacity(1)).push(
                Sharer {
                    number: socket.cookie,
                    remote: socket.ends.remote.canonical(),
                    owner: socket.owner.clone(),
                    seq: None,
                },
            ),
        }
    }

    /// Any of them may have ended unheard.
    fn lost(&mut self) {
        self.by_place.clear();
    }
}

fn is_outgoing(context: &Context<'_>) -> bool {
    matches!(context.open, Some(Open::Active | Open::Simultaneous | Open::SelfConnect))
}

fn explain(transition: &Transition, others: &[&Sharer]) -> String {
    let named: Vec<String> = others
        .iter()
        .take(NAMED)
        .map(|sharer| format!("{} ({})", sharer.remote, who(&sharer.owner)))
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
        insta::assert_snapshot!(findings[0].explain, @"client[100] connected from 127.0.0.1:12345 to 127.0.0.1:4321; connections from there already lead to 127.0.0.1:80 (client[100])");
        assert_eq!(story.tell(3, (LOCAL, "127.0.0.1:81"), &OPEN).len(), 1);
        assert_eq!(story.tell(4, (LOCAL, "127.0.0.1:82"), &OPEN).len(), 1);
        let findings = story.tell(5, (LOCAL, "127.0.0.1:83"), &OPEN);
        insta::assert_snapshot!(findings[0].explain, @"client[100] connected from 127.0.0.1:12345 to 127.0.0.1:83; connections from there already lead to 127.0.0.1:80 (client[100]), 127.0.0.1:4321 (client[100]), 127.0.0.1:81 (client[100]) and 1 more");
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
        insta::assert_snapshot!(findings[0].explain, @"client[100] connected from 127.0.0.1:12345 to 127.0.0.1:4321; connections from there already lead to 127.0.0.1:80 (daemon[300])");
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
        insta::assert_snapshot!(findings[0].explain, @"client[100] connected from 127.0.0.1:12345 to 127.0.0.1:81; connections from there already lead to 127.0.0.1:80 (client[100])");
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
