//! `probe trace -- COMMAND`: the command with its descendants, and its exit status.

use std::{fs, net::SocketAddr};

use nix::sys::signal::Signal;
use probe::net::{Namespace, sysctl::IP_LOCAL_PORT_RANGE};

use crate::{
    actor::Actor,
    quickack_netns::quickack_netns,
    support::{Objects, Outcome, PROGRAM, Probe, number},
    tracing::{self, BACKENDS},
};

/// A namespace with a server that runs before the command starts.
struct ServerNamespace {
    inside: Namespace,
    _server: Actor,
    address: SocketAddr,
}

impl ServerNamespace {
    fn new() -> Self {
        let inside = quickack_netns();
        let server = Actor::inside(&inside, "server");
        let address = server.at("listen l 127.0.0.1:0");
        Self { inside, _server: server, address }
    }

    /// Bash code that connects to the server.
    fn connect(&self) -> String {
        format!("exec 3<>/dev/tcp/{}/{}", self.address.ip(), self.address.port())
    }

    /// Traces a bash script in this namespace.
    fn trace(&self, flags: &str, script: &str) -> Outcome {
        let probe = tracing::trace_of(flags, &[&self.inside]).arg("--").arg("bash").arg("-c").arg(script);
        self.inside.enter(|| probe.run()).unwrap()
    }
}

/// A concurrent connect of an unrelated process is not traced; those of orphaned grandchildren are.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn only_the_command_and_its_descendants_are_traced() {
    for backend in BACKENDS {
        let server = ServerNamespace::new();
        let stranger = Actor::inside(&server.inside, "stranger");
        stranger.does(&format!("connect c {}", server.address));
        let connect = server.connect();
        let script = format!("{connect}; (({connect}; :); bash -c '{connect}; exec bash -c :') & wait");
        let outcome = server.trace(&format!("--backend {backend}"), &script).exits(0).silently();
        stranger.does("abort c");
        let objects = tracing::checked(outcome.objects());
        let clients: Vec<_> = objects.of("connection").filter(|one| one["open"] == "active").collect();
        assert_eq!(clients.len(), 3, "{backend}: {outcome}");
        for client in clients {
            assert_eq!(client["owner"]["comm"], "bash", "{backend}: {client}");
            assert_eq!(client["remote"]["port"], server.address.port(), "{backend}: {client}");
        }
        assert!(objects.of("transition").all(|one| one["owner"]["comm"] == "bash"), "{backend}: {outcome}");
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_commands_exit_status_is_passed_on() {
    let server = ServerNamespace::new();
    for (script, code) in
        [("exit 0", 0), ("exit 41", 41), ("kill -TERM $$", 128 + 15), ("kill -KILL $$", 128 + 9)]
    {
        server.trace("", script).exits(code).silently();
        server.trace("--connections", script).exits(code).silently();
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_command_that_cannot_run_exits_with_126_or_127() {
    let trace = |command: &str| Probe::new("trace --format json --no-snapshot --").arg(command).run();
    trace("no-such-command-here").exits(127).saying(&["no-such-command-here", "PATH"]);
    trace("/proc/version").exits(126).saying(&["/proc/version"]);
}

/// `--fail-on` takes precedence over the command's exit status.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn fail_on_makes_the_exit_status_1() {
    const PORT: u16 = 40_123;
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{PORT}");
    let trace = |flags: &str, script: &str| {
        let server = ServerNamespace::new();
        // The only ephemeral port is the destination port, so that the connect becomes a self-connect.
        server.inside.enter(|| IP_LOCAL_PORT_RANGE.write(&(PORT..=PORT)).unwrap()).unwrap();
        server.trace(flags, script)
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

/// The command's output is on stdout, the trace in the file.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn with_output_stdout_has_only_the_commands_output() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("trace");
    let server = ServerNamespace::new();
    let probe = tracing::trace_of("--output", &[]).arg(&file).arg("--").arg("bash").arg("-c");
    let probe = probe.arg(format!("echo one; {}; echo two", server.connect()));
    let outcome = server.inside.enter(|| probe.run()).unwrap().exits(0).silently();
    assert_eq!(outcome.stdout, "one\ntwo\n");
    let objects = tracing::checked(Objects::parse(&fs::read_to_string(file).unwrap()));
    assert_eq!(objects.of("connection").count(), 1);
}

/// The command handles the signal; the trace ends when the command exits.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_signal_is_forwarded_to_the_command() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let server = ServerNamespace::new();
        let name = signal.as_str().strip_prefix("SIG").unwrap();
        let script = format!("trap 'kill $!; exit 9' {name}; sleep 60 & echo trapped; wait");
        let probe = tracing::trace_of("", &[&server.inside]).arg("--").arg("bash").arg("-c").arg(script);
        let mut running = probe.start();
        running.wait_for_line("trap", |line| line == "trapped");
        running.signal(signal);
        let outcome = running.finish().exits(9).silently();
        assert!(outcome.stdout.lines().last().unwrap().contains("\"end\""), "{outcome}");
    }
}

/// A trace of a command that is itself a trace.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_traced_trace_still_reports_its_commands_connections() {
    let server = ServerNamespace::new();
    let script = format!(
        "exec {PROGRAM} trace --format json --output /dev/null --no-snapshot -- bash -c '{}'",
        server.connect()
    );
    let outcome = server.trace("", &script).exits(0).silently();
    let objects = tracing::checked(outcome.objects());
    assert!(objects.of("connection").any(|one| one["owner"]["comm"] == "bash"), "{outcome}");
}
