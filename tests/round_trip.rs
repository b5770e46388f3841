//! `--record` and `probe replay`: a replay shows what the trace showed, in every view and with every filter.

use std::path::Path;

use crate::{
    actor::Actor,
    cgroups::Group,
    findings::DeafListener,
    quickack_netns::quickack_netns,
    support::{Outcome, Probe},
    tracing::{self, BACKENDS, Stage, undisturbed},
};

use nix::sys::signal::Signal;

/// Makes the kernel report something of every kind.
pub fn play(stage: &Stage, group: &Group, old: &Actor) {
    let [server, client] = ["server", "client"].map(|name| stage.actor(name));
    group.takes(&client);
    server.does("listen l 127.0.0.1:7000");
    for port in [7001, 7002] {
        client.does(&format!("bind {port} 127.0.0.1:{port}"));
        client.does(&format!("connect {port} 127.0.0.1:7000"));
        server.does(&format!("accept {port} l"));
    }
    client.does("close 7001");
    server.does("close 7001");
    server.does("abort 7002");
    client.does("close 7002");
    client.does("bind self [::1]:7003");
    client.does("connect self [::1]:7003");
    client.does("close self");
    client.tries("connect refused 127.0.0.1:9").unwrap_err();
    client.tries("bind late 127.0.0.1:7000").unwrap_err();
    old.does("close c");
    old.does("close s");
    old.does("connect late 127.0.0.1:7777");
}

/// A recording, and the output of the trace that made it.
struct Recorded {
    directory: tempfile::TempDir,
    live: Outcome,
}

impl Recorded {
    /// Records again where reports were lost, since a recording with losses cannot be compared.
    fn with(flags: &str) -> Self {
        let is_whole = |recorded: &Self| recorded.live.objects().of("lost").count() == 0;
        undisturbed(|| Some(Self::once(flags)).filter(is_whole))
    }

    fn once(flags: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let inside = quickack_netns();
        // A pre-existing listener and a pre-existing connection.
        let old = Actor::inside(&inside, "old");
        old.does("listen l 127.0.0.1:7777");
        old.does("connect c 127.0.0.1:7777");
        old.does("accept s l");
        let file = directory.path().join("recording");
        let flags = format!("--stuck-after 100ms {flags} --record {}", file.display());
        let mut stage = Stage::of(inside, &flags);
        // The session looks its path up at the first report of a process in it.
        let group = Group::new("recorded");
        play(&stage, &group, &old);
        let deaf = DeafListener::inside(&stage.inside);
        let waiting = stage.actor("waiting");
        waiting.does(&format!("begin-connect c {}", deaf.local));
        if !flags.contains("--connections") {
            let is_stuck = |object: &serde_json::Value| {
                let is_expected = object["kind"] == "stuck" && object["owner"]["comm"] == "waiting";
                is_expected || object["type"] == "lost"
            };
            stage.running.wait_for("stuck", is_stuck);
        }
        waiting.does("close c");
        stage.running.signal(Signal::SIGINT);
        Self { directory, live: stage.running.finish().exits(0).silently() }
    }

    fn file(&self) -> std::path::PathBuf {
        self.directory.path().join("recording")
    }
}

fn replay(flags: &str, file: &Path) -> Outcome {
    Probe::new(&format!("replay --format json --stuck-after 100ms {flags}"))
        .arg(file)
        .run()
        .exits(0)
        .silently()
}

/// Compares line by line.
#[track_caller]
fn assert_same(live: &Outcome, again: &Outcome, what: &str) {
    let lines = |outcome: &Outcome| -> Vec<String> { outcome.stdout.lines().map(str::to_owned).collect() };
    let (live, again) = (lines(live), lines(again));
    for (live, again) in live.iter().zip(&again) {
        assert_eq!(live, again, "{what}");
    }
    assert_eq!(live.len(), again.len(), "{what}");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_trace_replays_as_it_was_shown() {
    for backend in BACKENDS {
        for view in ["", "--time-wait", "--connections", "--connections --time-wait"] {
            let recorded = Recorded::with(&format!("--backend {backend} {view}"));
            let objects = tracing::checked(recorded.live.objects());
            assert!(objects.of("connection").count() >= 9, "{}", recorded.live);
            let again = replay(&view.replace("--time-wait", ""), &recorded.file());
            assert_same(&recorded.live, &again, &format!("{backend} {view}"));
        }
    }
}

/// A recording does not depend on the view: a replay in another view shows what the trace would have shown.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_replay_applies_views_and_filters() {
    for backend in BACKENDS {
        let recorded = Recorded::with(&format!("--backend {backend}"));
        let all = tracing::checked(recorded.live.objects());
        for (flags, kind, fits) in [
            ("--connections", "connection", ""),
            ("--only self-connect", "finding", "self-connect"),
            ("--only stuck", "finding", "stuck"),
            ("--only bind-failed", "finding", "bind-failed"),
            ("--comm server", "transition", "\"comm\":\"server\""),
            ("--family 6", "transition", "\"family\":\"ipv6\""),
            ("--remote-port 9", "transition", "\"port\":9}"),
            ("--cgroup GROUP", "transition", "recorded"),
        ] {
            let cgroup = all.of("transition").find_map(|one| {
                one["owner"]["cgroup_path"].as_str().filter(|path| path.contains("recorded"))
            });
            let flags = flags.replace("GROUP", cgroup.unwrap());
            let again = tracing::checked(replay(&flags, &recorded.file()).objects());
            let matches = |object: &&serde_json::Value| object.to_string().contains(fits);
            let expected: Vec<_> = all.of(kind).filter(matches).collect();
            let shown: Vec<_> = again.of(kind).collect();
            assert!(!expected.is_empty(), "{flags}");
            assert_eq!(shown, expected, "{backend} {flags}");
        }
    }
}
