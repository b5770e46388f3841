//! `probe trace -- COMMAND`: the command with all that descends from it, and its exit status.

use std::{fs, net::SocketAddr};

use nix::sys::signal::Signal;
use probe::net::{Namespace, sysctl::IP_LOCAL_PORT_RANGE};

use crate::{
    actor::Actor,
    quickack_netns::quickack_netns,
    support::{Objects, Outcome, PROGRAM, Probe, number},
    tracing::{self, BACKENDS},
};

/// A server that was there before the command, in a namespace of its own.
struct Place {
    inside: Namespace,
    _server: Actor,
    there: SocketAddr,
}

impl Place {
    fn new() -> Self {
        let inside = quickack_netns();
        let server = Actor::inside(&inside, "server");
        let there = server.at("listen l 127.0.0.1:0");
        Self { inside, _server: server, there }
    }

    /// A piece of a script that connects to the server.
    fn connect(&self) -> String {
        format!("exec 3<>/dev/tcp/{}/{}", self.there.ip(), self.there.port())
    }

    /// The trace of a script, in here.
    fn trace(&self, flags: &str, script: &str) -> Outcome {
        let probe = tracing::trace_of(flags, &[&self.inside]).arg("--").arg("bash").arg("-c").arg(script);
        self.inside.enter(|| probe.run()).unwrap()
    }
}

/// A process of no relation connects meanwhile; what the command's children leave behind them is theirs.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn descendants_are_traced_and_nobody_else() {
    for backend in BACKENDS {
        let place = Place::new();
        let stranger = Actor::inside(&place.inside, "stranger");
        stranger.does(&format!("connect c {}", place.there));
        let connect = place.connect();
        let script = format!("{connect}; (({connect}; :); bash -c '{connect}; exec bash -c :') & wait");
        let outcome = place.trace(&format!("--backend {backend}"), &script).exits(0).silently();
        stranger.does("abort c");
        let objects = tracing::checked(outcome.objects());
        let clients: Vec<_> = objects.of("connection").filter(|one| one["open"] == "active").collect();
        assert_eq!(clients.len(), 3, "{backend}: {outcome}");
        for client in clients {
            assert_eq!(client["owner"]["comm"], "bash", "{backend}: {client}");
            assert_eq!(client["remote"]["port"], place.there.port(), "{backend}: {client}");
        }
        assert!(objects.of("transition").all(|one| one["owner"]["comm"] == "bash"), "{backend}: {outcome}");
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn its_exit_status_is_passed_on() {
    let place = Place::new();
    for (script, code) in
        [("exit 0", 0), ("exit 41", 41), ("kill -TERM $$", 128 + 15), ("kill -KILL $$", 128 + 9)]
    {
        place.trace("", script).exits(code).silently();
        place.trace("--connections", script).exits(code).silently();
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn one_that_cannot_be_run_says_why() {
    let trace = |command: &str| Probe::new("trace --format json --no-snapshot --").arg(command).run();
    trace("no-such-command-here").exits(127).saying(&["no-such-command-here", "PATH"]);
    trace("/proc/version").exits(126).saying(&["/proc/version"]);
}

/// A finding that was asked for outweighs what the command says.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_finding_makes_it_fail() {
    const PORT: u16 = 40_123;
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{PORT}");
    let trace = |flags: &str, script: &str| {
        let place = Place::new();
        // The only port that the kernel can choose is the one that is connected to.
        place.inside.enter(|| IP_LOCAL_PORT_RANGE.write(&(PORT..=PORT)).unwrap()).unwrap();
        place.trace(flags, script)
    };
    for view in ["", "--only self-connect,stuck", "--connections"] {
        let flags = format!("{view} --fail-on self-connect");
        let outcome = trace(&flags, &connect).exits(1).silently();
        let objects = tracing::checked(outcome.objects());
        assert_eq!(objects.one("finding")["kind"], "self-connect");
        assert_eq!(number(&objects.one("end")["findings"]), 1);
        trace(&format!("{view} --fail-on stuck"), &connect).exits(0).silently();
        trace(&flags, "exit 7").exits(7).silently();
        trace(&flags, &format!("{connect}; exit 7")).exits(1).silently();
    }
}

/// What the command prints stays on stdout, and the trace goes elsewhere.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_chatty_command_has_stdout_for_itself() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("trace");
    let place = Place::new();
    let probe = tracing::trace_of("--output", &[]).arg(&file).arg("--").arg("bash").arg("-c");
    let probe = probe.arg(format!("echo one; {}; echo two", place.connect()));
    let outcome = place.inside.enter(|| probe.run()).unwrap().exits(0).silently();
    assert_eq!(outcome.stdout, "one\ntwo\n");
    let objects = tracing::checked(Objects::parse(&fs::read_to_string(file).unwrap()));
    assert_eq!(objects.of("connection").count(), 1);
}

/// The signal is the command's to answer; the trace ends when it does.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_signal_is_passed_on_to_it() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let place = Place::new();
        let name = signal.as_str().strip_prefix("SIG").unwrap();
        let script = format!("trap 'kill $!; exit 9' {name}; sleep 60 & echo trapped; wait");
        let probe = tracing::trace_of("", &[&place.inside]).arg("--").arg("bash").arg("-c").arg(script);
        let mut running = probe.start();
        running.wait_for_line("trap", |line| line == "trapped");
        running.signal(signal);
        let outcome = running.finish().exits(9).silently();
        assert!(outcome.stdout.lines().last().unwrap().contains("\"end\""), "{outcome}");
    }
}

/// The tool's own sockets are not the command's.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_trace_of_a_trace() {
    let place = Place::new();
    let script = format!(
        "exec {PROGRAM} trace --format json --output /dev/null --no-snapshot -- bash -c '{}'",
        place.connect()
    );
    let outcome = place.trace("", &script).exits(0).silently();
    let objects = tracing::checked(outcome.objects());
    assert!(objects.of("connection").any(|one| one["owner"]["comm"] == "bash"), "{outcome}");
}
