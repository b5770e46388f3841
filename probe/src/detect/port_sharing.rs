//! Several outgoing connections from one local address and port.
//!
//! A connection is its four-tuple, so that nothing is wrong with it; but it surprises whoever tells
//! connections apart by the local port, and it takes SO_REUSEPORT, SO_REUSEADDR or the kernel's own
//! choice to come about.

use std::collections::HashMap;

use super::{Context, Detector, who};
use crate::model::{Endpoint, Finding, FindingKind, Open, Owner, Protocol, SocketId, State, Transition};

/// How many sharers a sentence names.
const NAMED: usize = 3;

/// Remembers the live outgoing connections of every local address and port.
#[derive(Default)]
pub struct PortSharing(HashMap<Place, Vec<Sharer>>);

/// A namespace, and an address and port in it.
type Place = (u32, Endpoint);

struct Sharer {
    socket: SocketId,
    remote: Endpoint,
    owner: Owner,
    /// The transition that established it.
    seq: u64,
}

impl PortSharing {
    /// Takes in a connection that has just been established, and says whom it shares with.
    fn join(&mut self, place: Place, context: &Context<'_>) -> Option<Finding> {
        let transition = context.transition;
        let here = self.0.entry(place).or_default();
        let remote = transition.ends.remote.canonical();
        let others: Vec<&Sharer> = here.iter().filter(|sharer| sharer.remote != remote).collect();
        let finding = (!others.is_empty()).then(|| {
            let evidence = others.iter().map(|sharer| sharer.seq).chain([transition.seq]).collect();
            let explain = explain(transition, &others);
            Finding { evidence, ..context.finding(FindingKind::PortSharing, explain) }
        });
        here.push(Sharer {
            socket: transition.socket,
            remote,
            owner: transition.owner.clone(),
            seq: transition.seq,
        });
        finding
    }

    fn leave(&mut self, place: Place, socket: SocketId) {
        if let Some(here) = self.0.get_mut(&place) {
            here.retain(|sharer| sharer.socket != socket);
            if here.is_empty() {
                self.0.remove(&place);
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
                self.leave(place, transition.socket);
                None
            }
            _ => None,
        }
    }

    /// Any of them may have ended unheard.
    fn lost(&mut self) {
        self.0.clear();
    }
}

fn is_outgoing(context: &Context<'_>) -> bool {
    context.connection.is_some_and(|connection| {
        matches!(connection.open, Open::Active | Open::Simultaneous | Open::SelfConnect)
    })
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
    use crate::detect::testing::{Story, endpoint};

    const OPEN: [State; 3] = [Close, SynSent, Established];
    const LOCAL: &str = "127.0.0.1:12345";

    fn story() -> Story<PortSharing> {
        Story::new(PortSharing::default())
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
