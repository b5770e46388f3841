//! How a trace ends: by itself, by a signal, by whoever reads it.

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

/// So many connects that are refused, with two transitions each.
fn refusals(actor: &Actor, count: u64) {
    actor.does(&format!("try {count} 127.0.0.1:9"));
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn when_the_time_is_over() {
    const TIME: Duration = Duration::from_millis(300);
    for view in ["", "--connections", "--only stuck"] {
        let stage = Stage::with(&format!("--duration {TIME:?} {view}"));
        let objects = tracing::checked(stage.running.finish().exits(0).silently().objects());
        let lasted = Duration::from_nanos(number(&objects.one("end")["duration_ns"]));
        assert!(lasted >= TIME, "{lasted:?}");
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn when_there_are_enough_lines() {
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

/// A quiet trace is ended as well as one under load, and what happened until then is in it.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn when_somebody_says_so() {
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

/// A trace as a table.
fn table(flags: &str, inside: &probe::net::Namespace) -> Running {
    let mut running = Probe::new(&format!("trace --netns {} {flags}", inside.inode())).start();
    running.wait_for_line("heading", |line| line.starts_with("probe on "));
    running
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_table_has_its_closing_line() {
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
            assert!(!outcome.stdout.contains('\x1b'), "it is no terminal: {outcome}");
            assert!(outcome.stdout.contains("3 connections · 3 findings"), "{outcome}");
        }
    }
}

/// As in `probe trace | head -3`.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn when_nobody_reads_on() {
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

/// A second signal changes nothing, and neither does one that comes with the end.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn by_more_than_one_signal() {
    let inside = probe::net::Namespace::private().unwrap();
    let running = table("--no-snapshot", &inside);
    let pid = nix::unistd::Pid::from_raw(running.pid().cast_signed());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGINT] {
        // It may have ended by then.
        let _ = nix::sys::signal::kill(pid, signal);
    }
    running.finish().exits(0).silently();
}

/// Whatever was shown can be shown again.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn by_force_with_a_recording() {
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
