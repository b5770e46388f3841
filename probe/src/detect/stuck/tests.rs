//! Which waits become findings, and when.

use State::*;
use proptest::prelude::*;

use super::*;
use crate::{
    detect::testing::{Simulation, walk},
    model::{Protocol, testing::diag_entry},
};

const ENDS: (&str, &str) = ("10.0.0.1:5000", "10.0.0.2:80");
const AFTER: Duration = Duration::from_secs(60);
const LONGER: Duration = Duration::from_secs(61);

fn simulation() -> Simulation<Stuck> {
    Simulation::new(Stuck::new(AFTER))
}

/// The message about a socket that went along this path and stayed in its last state.
fn message(path: &[State]) -> String {
    let mut simulation = simulation();
    assert_eq!(simulation.moves(7, ENDS, path), [], "only ticks produce findings");
    let [finding] = &simulation.wait(LONGER)[..] else { panic!("{path:?}") };
    assert_eq!(finding.evidence.len(), path.len() - 1);
    finding.message.clone()
}

#[test]
fn the_message_says_what_the_state_means() {
    insta::assert_snapshot!(message(&[Close, SynSent]), @"client[100] has been in SYN_SENT for 61 s: 10.0.0.2:80 does not answer, not even with an RST (a firewall drops the SYNs, or the host is down)");
    insta::assert_snapshot!(message(&[Listen, SynRecv, Established, CloseWait]), @"client[100] has been in CLOSE_WAIT at 10.0.0.1:5000 for 61 s: 10.0.0.2:80 has closed, and no process here has (typically a leaked descriptor or a hanging process)");
    insta::assert_snapshot!(message(&[Established, FinWait1, FinWait2]), @"client[100] has been in FIN_WAIT2 at 10.0.0.1:5000 for 61 s: 10.0.0.2:80 has acknowledged its FIN, but has not sent one");
}

#[test]
fn each_wait_is_one_finding() {
    let mut simulation = simulation();
    simulation.moves(7, ENDS, &[Established, CloseWait]);
    assert_eq!(simulation.wait(AFTER), [], "not longer yet");
    assert_eq!(simulation.wait(Duration::from_secs(1)).len(), 1);
    assert_eq!(simulation.wait(LONGER), []);
    // Another wait is another finding.
    simulation.moves(7, ENDS, &[CloseWait, Close, SynSent]);
    assert_eq!(simulation.wait(LONGER).len(), 1);
}

#[test]
fn a_socket_that_leaves_in_time_is_not_stuck() {
    let mut simulation = simulation();
    simulation.moves(1, ENDS, &[Close, SynSent]);
    simulation.moves(2, ENDS, &[Established, CloseWait]);
    simulation.moves(3, ENDS, &[FinWait1, FinWait2]);
    simulation.wait(AFTER / 2);
    simulation.moves(1, ENDS, &[SynSent, Established]);
    simulation.moves(2, ENDS, &[CloseWait, LastAck]);
    simulation.moves(3, ENDS, &[FinWait2, FinWait2]);
    let findings = simulation.wait(AFTER);
    assert_eq!(findings.len(), 1, "a close after shutdown does not end the wait: {findings:?}");
    assert!(findings[0].message.contains("FIN_WAIT2 at 10.0.0.1:5000 for 90 s"));
}

#[test]
fn a_pre_existing_socket_waits_from_the_snapshot_on() {
    let mut simulation = simulation();
    let row = |cookie, state| diag_entry(cookie, state, ENDS.0, ENDS.1).held_by(300, "daemon");
    let mini = DiagEntry { expires: Some(LONGER), ..row(4, FinWait2) };
    simulation.existing(&[
        row(1, CloseWait),
        row(2, CloseWait),
        row(3, Established),
        mini,
        row(5, CloseWait),
    ]);
    // One leaves; another enters, by a report older than the snapshot.
    simulation.moves(2, ENDS, &[CloseWait, LastAck]);
    simulation.moves(5, ENDS, &[Established, CloseWait]);
    let findings = simulation.wait(LONGER);
    assert_eq!(findings.len(), 2);
    insta::assert_snapshot!(findings[0].message, @"daemon[300] has been in CLOSE_WAIT at 10.0.0.1:5000 for at least 61 s: 10.0.0.2:80 has closed, and no process here has (typically a leaked descriptor or a hanging process)");
    assert_eq!(
        (findings[0].socket, findings[0].evidence.len()),
        (Some(SocketId { number: 1, generation: 0 }), 0)
    );
    assert!(findings[1].message.contains("for 60 s") || findings[1].message.contains("for 61 s"));
    assert_eq!(findings[1].evidence, [2]);
}

#[test]
fn a_loss_ends_all_waits() {
    let mut simulation = simulation();
    simulation.moves(7, ENDS, &[Established, CloseWait]);
    simulation.lose();
    assert_eq!(simulation.wait(LONGER), []);
}

#[test]
fn an_mptcp_socket_in_syn_sent_is_not_stuck() {
    let mut simulation = simulation();
    simulation.over(Protocol::Mptcp);
    simulation.moves(7, ENDS, &[Close, SynSent]);
    assert_eq!(simulation.wait(LONGER), []);
    simulation.moves(7, ENDS, &[SynSent, Established, CloseWait]);
    assert_eq!(simulation.wait(LONGER).len(), 1);
}

#[test]
fn short_waits_leave_no_entries_behind() {
    let mut simulation = simulation();
    for number in 0..100_000 {
        simulation.moves(number, ENDS, &[Close, SynSent, Established]);
    }
    assert!(simulation.detector().waiting.is_empty());
    assert!(simulation.detector().queue.len() < 1100, "{}", simulation.detector().queue.len());
}

proptest! {
    /// Whatever the ticks' intervals, the first tick that is late enough finds the wait.
    #[test]
    fn the_last_state_decides(walk in walk(), ticks in proptest::collection::vec(1..40_u64, 0..20)) {
        let mut simulation = simulation();
        simulation.moves(7, ENDS, &walk);
        let total: u64 = ticks.iter().sum();
        // The path's own transitions take time too.
        prop_assume!(total != 60);
        let found: usize = ticks.iter().map(|secs| simulation.wait(Duration::from_secs(*secs)).len()).sum();
        let waits = matches!(walk[walk.len() - 1], SynSent | CloseWait | FinWait2);
        prop_assert_eq!(found, usize::from(waits && total > 60));
    }
}
