//! What holds for every detector.

use proptest::{collection, prelude::*, sample::Index};

use foldhash::HashMap;

use super::{
    testing::{Story, endpoint, walk, whole},
    *,
};
use crate::model::{Cause, Errno, testing::host};

/// A socket: its ends, and the states it goes through.
type Life = (String, String, Vec<State>);

/// Some sockets; some of them connected to themselves.
fn lives() -> impl Strategy<Value = Vec<Life>> {
    let other = (endpoint(), endpoint(), walk());
    let own = (endpoint(), walk()).prop_map(|(end, walk)| (end.clone(), end, walk));
    collection::vec(prop_oneof![other, own], 1..5)
}

/// What a detector finds of each socket when all of them move in turns.
fn interleaved<D: Detector>(detector: D, lives: &[Life], picks: &[Index]) -> HashMap<usize, Vec<String>> {
    let mut story = Story::new(detector);
    let mut moves: Vec<_> = lives.iter().map(|(_, _, walk)| walk.windows(2)).collect();
    let mut found: HashMap<usize, Vec<String>> = HashMap::default();
    for pick in picks {
        let place = pick.index(lives.len());
        let (local, remote, _) = &lives[place];
        if let Some(edge) = moves[place].next() {
            let findings = story.tell(place as u64, (local, remote), edge);
            found.entry(place).or_default().extend(findings.into_iter().map(|finding| finding.message));
        }
    }
    found
}

/// What it finds of each when the others are not there, as far as that socket got.
fn alone<D: Detector>(make: impl Fn() -> D, lives: &[Life], picks: &[Index]) -> HashMap<usize, Vec<String>> {
    (0..lives.len())
        .flat_map(|place| {
            let own = std::slice::from_ref(&lives[place]);
            let turns: Vec<Index> =
                picks.iter().filter(|pick| pick.index(lives.len()) == place).copied().collect();
            interleaved(make(), own, &turns).into_values().map(move |found| (place, found))
        })
        .collect()
}

proptest! {
    #[test]
    fn a_connection_shows_something_where_it_is_heeded(walk in walk(), is_own in any::<bool>(), errno in 100..115) {
        let ends = ("10.0.0.1:80", if is_own { "10.0.0.1:80" } else { "10.0.0.2:80" });
        let cause = Cause::RstReceived(Errno(errno));
        let mut connection = whole(Open::Active, ends, &walk, Some(cause));
        if connection.path.takes((State::SynSent, State::SynRecv)) {
            connection.open = if is_own { Open::SelfConnect } else { Open::Simultaneous };
        }
        for detector in all(&host(), &Options::default()).all() {
            let is_heeded = connection.path.edges().any(|edge| detector.heeds(edge));
            prop_assert!(is_heeded || detector.ended(&connection).is_none());
        }
    }

    /// Port sharing is the exception: it is about several sockets.
    #[test]
    fn other_sockets_make_no_difference(lives in lives(), picks in collection::vec(any::<Index>(), 0..60)) {
        let host = host();
        prop_assert_eq!(
            interleaved(SelfConnect::new(&host), &lives, &picks),
            alone(|| SelfConnect::new(&host), &lives, &picks)
        );
        prop_assert_eq!(interleaved(SimultaneousOpen, &lives, &picks), alone(|| SimultaneousOpen, &lives, &picks));
        prop_assert_eq!(interleaved(SimultaneousClose, &lives, &picks), alone(|| SimultaneousClose, &lives, &picks));
        prop_assert_eq!(interleaved(IllegalTransition, &lives, &picks), alone(|| IllegalTransition, &lives, &picks));
        prop_assert_eq!(
            interleaved(ConnectFailed::new(&host, true), &lives, &picks),
            alone(|| ConnectFailed::new(&host, true), &lives, &picks)
        );
    }
}

#[test]
fn every_kind_has_its_detector() {
    assert_eq!(all(&host(), &Options::default()).all().len(), FindingKind::ALL.len());
}
