//! Properties of every detector.

use proptest::{collection, prelude::*, sample::Index};

use foldhash::HashMap;

use super::{
    testing::{Simulation, connection, endpoint, walk},
    *,
};
use crate::model::{Cause, Errno, FindingKind, Open, State, testing::host};

/// A socket: its endpoints, and the states it goes through.
type Socket = (String, String, Vec<State>);

/// Some sockets; some of them connected to themselves.
fn sockets() -> impl Strategy<Value = Vec<Socket>> {
    let other = (endpoint(), endpoint(), walk());
    let own = (endpoint(), walk()).prop_map(|(end, walk)| (end.clone(), end, walk));
    collection::vec(prop_oneof![other, own], 1..5)
}

/// The findings about each socket when their transitions are interleaved.
fn interleaved<D: Detector>(detector: D, sockets: &[Socket], picks: &[Index]) -> HashMap<usize, Vec<String>> {
    let mut simulation = Simulation::new(detector);
    let mut moves: Vec<_> = sockets.iter().map(|(_, _, walk)| walk.windows(2)).collect();
    let mut found: HashMap<usize, Vec<String>> = HashMap::default();
    for pick in picks {
        let index = pick.index(sockets.len());
        let (local, remote, _) = &sockets[index];
        if let Some(edge) = moves[index].next() {
            let findings = simulation.moves(index as u64, (local, remote), edge);
            found.entry(index).or_default().extend(findings.into_iter().map(|finding| finding.message));
        }
    }
    found
}

/// The findings about each socket if it is the only one, along the same transitions.
fn alone<D: Detector>(
    make: impl Fn() -> D,
    sockets: &[Socket],
    picks: &[Index],
) -> HashMap<usize, Vec<String>> {
    (0..sockets.len())
        .flat_map(|index| {
            let own = std::slice::from_ref(&sockets[index]);
            let turns: Vec<Index> =
                picks.iter().filter(|pick| pick.index(sockets.len()) == index).copied().collect();
            interleaved(make(), own, &turns).into_values().map(move |found| (index, found))
        })
        .collect()
}

proptest! {
    #[test]
    fn a_detector_finds_nothing_in_a_connection_that_it_does_not_examine(walk in walk(), is_own in any::<bool>(), errno in 100..115) {
        let endpoints = ("10.0.0.1:80", if is_own { "10.0.0.1:80" } else { "10.0.0.2:80" });
        let cause = Cause::RstReceived(Errno(errno));
        let mut connection = connection(Open::Active, endpoints, &walk, Some(cause));
        if connection.path.contains((State::SynSent, State::SynRecv)) {
            connection.open = if is_own { Open::SelfConnect } else { Open::Simultaneous };
        }
        for detector in all(&host(), &Options::default()).all() {
            let is_examined = connection.path.edges().any(|edge| detector.examines(edge));
            prop_assert!(is_examined || detector.ended(&connection).is_none());
        }
    }

    /// Port sharing is the exception: it relates several sockets.
    #[test]
    fn other_sockets_make_no_difference(sockets in sockets(), picks in collection::vec(any::<Index>(), 0..60)) {
        let host = host();
        prop_assert_eq!(
            interleaved(SelfConnect::new(&host), &sockets, &picks),
            alone(|| SelfConnect::new(&host), &sockets, &picks)
        );
        prop_assert_eq!(interleaved(SimultaneousOpen, &sockets, &picks), alone(|| SimultaneousOpen, &sockets, &picks));
        prop_assert_eq!(interleaved(SimultaneousClose, &sockets, &picks), alone(|| SimultaneousClose, &sockets, &picks));
        prop_assert_eq!(interleaved(IllegalTransition, &sockets, &picks), alone(|| IllegalTransition, &sockets, &picks));
        prop_assert_eq!(
            interleaved(ConnectFailed::new(&host, true), &sockets, &picks),
            alone(|| ConnectFailed::new(&host, true), &sockets, &picks)
        );
    }
}

#[test]
fn every_finding_kind_has_a_detector() {
    assert_eq!(all(&host(), &Options::default()).all().len(), FindingKind::ALL.len());
}
