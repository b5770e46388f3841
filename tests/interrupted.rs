//! Runs that are cut short: what they say, and that nothing of them stays behind in the kernel.

use nix::sys::signal::Signal;

use crate::{
    coherence, contract,
    kernel_objects::KernelObjects,
    support::{Outcome, Probe, Running},
};

/// Slow enough to be interrupted in the middle: two seconds for each packet.
const SLOW: &str = "run simultaneous-open --delay 2s --format json";
/// Quick enough to get to its connection, and far from its end then.
const BRISK: &str = "run simultaneous-open --delay 200ms --repeat 50 --format json";

/// Waits until both ends have left this state behind: sockets, wire and namespaces are there.
fn both_in(state: &str, running: &mut Running) {
    for _ in 0..2 {
        running.wait_for_state(state);
    }
}

#[track_caller]
fn says_its_end(outcome: Outcome) {
    let objects = outcome.exits(130).silently().objects();
    contract::hold(&objects);
    coherence::hold(&objects);
    assert_eq!(objects.verdicts(), [("simultaneous-open", "interrupted")]);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn ctrl_c_ends_the_stream_properly() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut running = Probe::new(SLOW).start();
        both_in("SYN_SENT", &mut running);
        running.signal(signal);
        says_its_end(running.finish());
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn ctrl_c_leaves_a_recording_that_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("interrupted");
    let mut running = Probe::new(&format!("{SLOW} --record")).arg(&file).start();
    both_in("SYN_SENT", &mut running);
    running.signal(Signal::SIGINT);
    let live = running.finish().exits(130).silently();
    let again = Probe::new("replay --format json").arg(&file).run().exits(130).silently();
    assert_eq!(again.stdout, live.stdout);
}

/// Whatever was shown can be shown again.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn kill_9_leaves_a_recording_of_what_was_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("killed");
    let mut running = Probe::new(&format!("{SLOW} --record")).arg(&file).start();
    both_in("SYN_SENT", &mut running);
    running.signal(Signal::SIGKILL);
    let live = running.finish().dies_of(Signal::SIGKILL);
    let again = Probe::new("replay --format json").arg(&file).run().exits(2).saying(&["cut off at byte"]);
    assert!(again.stdout.starts_with(&live.stdout), "{live}\nand {again}");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_table_that_is_interrupted_is_closed_too() {
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
    both_in(state, &mut running);
    let objects = KernelObjects::held_by(running.pid());
    running.signal(signal);
    let outcome = running.finish();
    match signal {
        Signal::SIGKILL => drop(outcome.dies_of(signal)),
        _ => says_its_end(outcome),
    }
    objects.wait_until_gone();
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn ctrl_c_leaves_nothing() {
    nothing_remains_after(Signal::SIGINT, SLOW, "SYN_SENT");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn kill_9_leaves_nothing() {
    nothing_remains_after(Signal::SIGKILL, SLOW, "SYN_SENT");
}

/// Sockets that were connected want to say goodbye over a wire that is gone.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn kill_9_amid_connections_leaves_nothing() {
    nothing_remains_after(Signal::SIGKILL, BRISK, "ESTABLISHED");
}
