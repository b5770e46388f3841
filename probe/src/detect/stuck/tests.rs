//! What stays, and what does not stay long enough.

use State::*;
use proptest::prelude::*;

use super::*;
use crate::{
    detect::testing::{Story, walk},
    model::testing::listed,
};

const ENDS: (&str, &str) = ("10.0.0.1:5000", "10.0.0.2:80");
const AFTER: Duration = Duration::from_secs(60);
const LONGER: Duration = Duration::from_secs(61);

fn story() -> Story<Stuck> {
    Story::new(Stuck::new(AFTER))
}

/// What is said of a socket that went this way and stayed at its end.
fn said(path: &[State]) -> String {
    let mut story = story();
    assert_eq!(story.tell(7, ENDS, path), [], "ticks alone find");
    let [finding] = &story.wait(LONGER)[..] else { panic!("{path:?}") };
    assert_eq!(finding.evidence.len(), path.len() - 1);
    finding.message.clone()
}

#[test]
fn a_state_is_told_with_what_it_means() {
    insta::assert_snapshot!(said(&[Close, SynSent]), @"client[100] has been in SYN_SENT for 61 s: 10.0.0.2:80 does not answer, not even by a refusal (a firewall that drops, or a host that is down)");
    insta::assert_snapshot!(said(&[Listen, SynRecv, Established, CloseWait]), @"client[100] has been in CLOSE_WAIT at 10.0.0.1:5000 for 61 s: 10.0.0.2:80 has closed its end, and nobody here has closed this one (typically a descriptor that is leaked, or a process that hangs)");
    insta::assert_snapshot!(said(&[Established, FinWait1, FinWait2]), @"client[100] has been in FIN_WAIT2 at 10.0.0.1:5000 for 61 s: it has sent all that it will, and 10.0.0.2:80 knows that and has not closed its own end");
}

#[test]
fn a_stay_is_told_once() {
    let mut story = story();
    story.tell(7, ENDS, &[Established, CloseWait]);
    assert_eq!(story.wait(AFTER), [], "not longer yet");
    assert_eq!(story.wait(Duration::from_secs(1)).len(), 1);
    assert_eq!(story.wait(LONGER), []);
    // Another stay is another finding.
    story.tell(7, ENDS, &[CloseWait, Close, SynSent]);
    assert_eq!(story.wait(LONGER).len(), 1);
}

#[test]
fn what_leaves_in_time_is_not_stuck() {
    let mut story = story();
    story.tell(1, ENDS, &[Close, SynSent]);
    story.tell(2, ENDS, &[Established, CloseWait]);
    story.tell(3, ENDS, &[FinWait1, FinWait2]);
    story.wait(AFTER / 2);
    story.tell(1, ENDS, &[SynSent, Established]);
    story.tell(2, ENDS, &[CloseWait, LastAck]);
    story.tell(3, ENDS, &[FinWait2, FinWait2]);
    let findings = story.wait(AFTER);
    assert_eq!(findings.len(), 1, "a close after shutdown changes nothing: {findings:?}");
    assert!(findings[0].message.contains("FIN_WAIT2 at 10.0.0.1:5000 for 90 s"));
}

#[test]
fn what_was_there_counts_from_the_snapshot() {
    let mut story = story();
    let row = |cookie, state| listed(cookie, state, ENDS.0, ENDS.1).held_by(300, "daemon");
    let mini = DiagEntry { expires: Some(LONGER), ..row(4, FinWait2) };
    story.existing(&[row(1, CloseWait), row(2, CloseWait), row(3, Established), mini, row(5, CloseWait)]);
    // One leaves; another enters according to a report that is older than the snapshot.
    story.tell(2, ENDS, &[CloseWait, LastAck]);
    story.tell(5, ENDS, &[Established, CloseWait]);
    let findings = story.wait(LONGER);
    assert_eq!(findings.len(), 2);
    insta::assert_snapshot!(findings[0].message, @"daemon[300] has been in CLOSE_WAIT at 10.0.0.1:5000 for at least 61 s: 10.0.0.2:80 has closed its end, and nobody here has closed this one (typically a descriptor that is leaked, or a process that hangs)");
    assert_eq!(
        (findings[0].socket, findings[0].evidence.len()),
        (Some(SocketId { number: 1, generation: 0 }), 0)
    );
    assert!(findings[1].message.contains("for 60 s") || findings[1].message.contains("for 61 s"));
    assert_eq!(findings[1].evidence, [2]);
}

#[test]
fn nobody_knows_what_left_unheard() {
    let mut story = story();
    story.tell(7, ENDS, &[Established, CloseWait]);
    story.lose();
    assert_eq!(story.wait(LONGER), []);
}

#[test]
fn an_mptcp_socket_waits_where_its_subflow_waits() {
    let mut story = story().mptcp();
    story.tell(7, ENDS, &[Close, SynSent]);
    assert_eq!(story.wait(LONGER), []);
    story.tell(7, ENDS, &[SynSent, Established, CloseWait]);
    assert_eq!(story.wait(LONGER).len(), 1);
}

#[test]
fn short_stays_leave_nothing_behind() {
    let mut story = story();
    for number in 0..100_000 {
        story.tell(number, ENDS, &[Close, SynSent, Established]);
    }
    assert!(story.detector().stays.is_empty());
    assert!(story.detector().queue.len() < 1100, "{}", story.detector().queue.len());
}

proptest! {
    /// Looked at often or seldom, a stay is found at the first look that is late enough.
    #[test]
    fn the_end_of_the_path_decides(walk in walk(), looks in proptest::collection::vec(1..40_u64, 0..20)) {
        let mut story = story();
        story.tell(7, ENDS, &walk);
        let total: u64 = looks.iter().sum();
        // The path's own steps take time, too.
        prop_assume!(total != 60);
        let found: usize = looks.iter().map(|secs| story.wait(Duration::from_secs(*secs)).len()).sum();
        let waits = matches!(walk[walk.len() - 1], SynSent | CloseWait | FinWait2);
        prop_assert_eq!(found, usize::from(waits && total > 60));
    }
}
