//! Interrupted runs: their output, and that nothing of them remains in the kernel.

use nix::sys::signal::Signal;

use crate::{
    coherence, contract,
    kernel_objects::KernelObjects,
    support::{Outcome, Probe, Running},
};

/// Slow enough to be interrupted in the middle: each packet takes two seconds.
const SLOW: &str = "run simultaneous-open --delay 2s --format json";
/// Fast enough to have connections, and repeated often enough to be far from its end.
const REPEATED: &str = "run simultaneous-open --delay 200ms --repeat 50 --format json";

/// Waits until both sockets have left this state, so that sockets, link and namespaces exist.
fn wait_for_both(state: &str, running: &mut Running) {
    for _ in 0..2 {
        running.wait_for_state(state);
    }
}

#[track_caller]
fn assert_interrupted(outcome: Outcome) {
    let objects = outcome.exits(130).silently().objects();
    contract::check_stream(&objects);
    coherence::check_stream(&objects);
    assert_eq!(objects.verdicts(), [("simultaneous-open", "interrupted")]);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_signal_ends_the_stream_with_end() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut running = Probe::new(SLOW).start();
        wait_for_both("SYN_SENT", &mut running);
        running.signal(signal);
        assert_interrupted(running.finish());
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn ctrl_c_leaves_a_complete_recording() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("interrupted");
    let mut running = Probe::new(&format!("{SLOW} --record")).arg(&file).start();
    wait_for_both("SYN_SENT", &mut running);
    running.signal(Signal::SIGINT);
    let live = running.finish().exits(130).silently();
    let again = Probe::new("replay --format json").arg(&file).run().exits(130).silently();
    assert_eq!(again.stdout, live.stdout);
}

/// Everything printed before SIGKILL can be replayed.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn kill_9_leaves_a_recording_of_everything_printed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("killed");
    let mut running = Probe::new(&format!("{SLOW} --record")).arg(&file).start();
    wait_for_both("SYN_SENT", &mut running);
    running.signal(Signal::SIGKILL);
    let live = running.finish().dies_of(Signal::SIGKILL);
    let again = Probe::new("replay --format json").arg(&file).run().exits(2).saying(&["cut off at byte"]);
    assert!(again.stdout.starts_with(&live.stdout), "{live}\nand {again}");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn an_interrupted_table_has_its_closing_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("interrupted");
    let arguments = SLOW.replace("--format json", "--record");
    let mut running = Probe::new(&arguments).arg(&file).start();
    running.wait_for_line("heading", |line| line.contains("simultaneous-open"));
    running.signal(Signal::SIGINT);
    let outcome = running.finish().exits(130).silently();
    let last = outcome.stdout.lines().last().unwrap_or_default();
    assert!(last.contains("attached in"), "{outcome}");
    Probe::new("replay").arg(&file).run().exits(130).silently();
}

#[track_caller]
fn nothing_remains_after(signal: Signal, arguments: &str, state: &str) {
    let mut running = Probe::new(arguments).start();
    wait_for_both(state, &mut running);
    let objects = KernelObjects::held_by(running.pid());
    running.signal(signal);
    let outcome = running.finish();
    match signal {
        Signal::SIGKILL => drop(outcome.dies_of(signal)),
        _ => assert_interrupted(outcome),
    }
    objects.wait_until_gone();
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn ctrl_c_leaves_nothing_in_the_kernel() {
    nothing_remains_after(Signal::SIGINT, SLOW, "SYN_SENT");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn kill_9_leaves_nothing_in_the_kernel() {
    nothing_remains_after(Signal::SIGKILL, SLOW, "SYN_SENT");
}

/// Connected sockets send their FINs over a link that no longer exists.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn kill_9_during_connections_leaves_nothing_in_the_kernel() {
    nothing_remains_after(Signal::SIGKILL, REPEATED, "ESTABLISHED");
}
