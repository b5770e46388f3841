//! How a trace ends: by a limit, by a signal, or because its reader closed the pipe.

use std::{
    io::{self, BufRead as _, BufReader},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    actor::Actor,
    support::{Probe, Running, number},
    tracing::{self, BACKENDS, Stage},
};

/// Makes `count` refused connects, of two transitions each.
fn refusals(actor: &Actor, count: u64) {
    actor.does(&format!("try {count} 127.0.0.1:9"));
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_trace_ends_after_its_duration() {
    const DURATION: Duration = Duration::from_millis(300);
    for view in ["", "--connections", "--only stuck"] {
        let stage = Stage::with(&format!("--duration {DURATION:?} {view}"));
        let objects = tracing::checked(stage.running.finish().exits(0).silently().objects());
        let lasted = Duration::from_nanos(number(&objects.one("end")["duration_ns"]));
        assert!(lasted >= DURATION, "{lasted:?}");
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_trace_ends_after_count_lines() {
    for backend in BACKENDS {
        for (view, kind) in
            [("", "transition"), ("--connections", "connection"), ("--only connect-failed", "finding")]
        {
            let stage = Stage::with(&format!("--backend {backend} --count 5 {view}"));
            let client = stage.actor("client");
            refusals(&client, 20);
            let objects = tracing::checked(stage.running.finish().exits(0).silently().objects());
            assert_eq!(objects.of(kind).count(), 5, "{backend} {view}");
        }
    }
}

/// With and without load; everything up to the signal is in the trace.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_signal_drains_and_ends_the_trace() {
    const COUNT: u64 = 300;
    for backend in BACKENDS {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            for count in [0, COUNT] {
                let stage = Stage::with(&format!("--backend {backend}"));
                let client = stage.actor("client");
                refusals(&client, count);
                stage.running.signal(signal);
                let objects = tracing::checked(stage.running.finish().exits(0).silently().objects());
                let end = objects.one("end");
                assert_eq!(number(&end["transitions"]), 2 * count, "{backend}: {end}");
                assert_eq!(number(&end["connections"]), count, "{backend}: {end}");
            }
        }
    }
}

/// Starts a trace printed as a table.
fn table(flags: &str, inside: &probe::net::Namespace) -> Running {
    let mut running = Probe::new(&format!("trace --netns {} {flags}", inside.inode())).start();
    running.wait_for_line("heading", |line| line.starts_with("probe on "));
    running
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_table_ends_with_a_closing_line_and_fits_the_width() {
    for view in ["", "--connections", "--only connect-failed"] {
        for width in ["80", "200"] {
            let inside = probe::net::Namespace::private().unwrap();
            let probe = Probe::new(&format!("trace --netns {} {view}", inside.inode())).env("COLUMNS", width);
            let mut running = probe.start();
            running.wait_for_line("heading", |line| line.starts_with("probe on "));
            let client = Actor::inside(&inside, "client");
            refusals(&client, 3);
            running.signal(Signal::SIGINT);
            let outcome = running.finish().exits(0).silently();
            let widest = outcome.stdout.lines().map(|line| line.chars().count()).max();
            assert!(widest <= width.parse().ok(), "{widest:?} columns: {outcome}");
            assert!(!outcome.stdout.contains('\x1b'), "colour without a terminal: {outcome}");
            assert!(outcome.stdout.contains("3 connections · 3 findings"), "{outcome}");
        }
    }
}

/// `probe trace | head -1`.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_closed_pipe_ends_the_trace() {
    for format in ["json", "table"] {
        let inside = probe::net::Namespace::private().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let arguments = format!("trace --no-snapshot --format {format} --netns {}", inside.inode());
        let running = Probe::new(&arguments).stdout(writer).start();
        let mut lines = BufReader::new(reader).lines();
        assert!(!lines.next().unwrap().unwrap().is_empty());
        drop(lines);
        let client = Actor::inside(&inside, "client");
        refusals(&client, 3);
        running.finish().exits(0).silently();
    }
}

/// Further signals, before and during the end, do not change it.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn several_signals_end_the_trace_once() {
    let inside = probe::net::Namespace::private().unwrap();
    let running = table("--no-snapshot", &inside);
    let pid = nix::unistd::Pid::from_raw(running.pid().cast_signed());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGINT] {
        // The process may have exited already.
        let _ = nix::sys::signal::kill(pid, signal);
    }
    running.finish().exits(0).silently();
}

/// Everything printed before SIGKILL can be replayed.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn sigkill_leaves_a_recording_of_everything_printed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("killed");
    let mut stage = Stage::with(&format!("--record {}", file.display()));
    let client = stage.actor("client");
    refusals(&client, 10);
    stage.wait_for("connection", 10);
    stage.running.signal(Signal::SIGKILL);
    let live = stage.running.finish().dies_of(Signal::SIGKILL);
    let again = Probe::new("replay --format json").arg(&file).run().exits(2).saying(&["cut off at byte"]);
    assert!(again.stdout.starts_with(&live.stdout), "{live}\nand {again}");
}
