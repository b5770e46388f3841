//! `--record` and `probe replay`: what was seen live is seen again, in every view and under every filter.

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

/// What happens while it is recorded: something of every kind.
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

/// A recording, and what was shown while it was made.
struct Recorded {
    directory: tempfile::TempDir,
    live: Outcome,
}

impl Recorded {
    /// What the kernel has passed over for the sake of other tests cannot be compared: then it is made again.
    fn with(flags: &str) -> Self {
        let is_whole = |recorded: &Self| recorded.live.objects().of("lost").count() == 0;
        undisturbed(|| Some(Self::once(flags)).filter(is_whole))
    }

    fn once(flags: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let inside = quickack_netns();
        // A listener and a connection that are there already.
        let old = Actor::inside(&inside, "old");
        old.does("listen l 127.0.0.1:7777");
        old.does("connect c 127.0.0.1:7777");
        old.does("accept s l");
        let file = directory.path().join("recording");
        let flags = format!("--stuck-after 100ms {flags} --record {}", file.display());
        let mut stage = Stage::of(inside, &flags);
        // Its name is looked up when somebody in it is first told of.
        let group = Group::new("recorded");
        play(&stage, &group, &old);
        let deaf = DeafListener::inside(&stage.inside);
        let waiting = stage.actor("waiting");
        waiting.does(&format!("begin-connect c {}", deaf.local));
        if !flags.contains("--connections") {
            let is_stuck = |object: &serde_json::Value| {
                let is_it = object["kind"] == "stuck" && object["owner"]["comm"] == "waiting";
                is_it || object["type"] == "lost"
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

/// Line by line; how long it took is the only thing that is live's alone.
#[track_caller]
fn the_same(live: &Outcome, again: &Outcome, what: &str) {
    let lines = |outcome: &Outcome| -> Vec<String> { outcome.stdout.lines().map(str::to_owned).collect() };
    let (live, again) = (lines(live), lines(again));
    for (live, again) in live.iter().zip(&again) {
        assert_eq!(live, again, "{what}");
    }
    assert_eq!(live.len(), again.len(), "{what}");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_trace_is_replayed_as_it_was() {
    for backend in BACKENDS {
        for view in ["", "--time-wait", "--connections", "--connections --time-wait"] {
            let recorded = Recorded::with(&format!("--backend {backend} {view}"));
            let objects = tracing::checked(recorded.live.objects());
            assert!(objects.of("connection").count() >= 9, "{}", recorded.live);
            let again = replay(&view.replace("--time-wait", ""), &recorded.file());
            the_same(&recorded.live, &again, &format!("{backend} {view}"));
        }
    }
}

/// What is recorded does not depend on what is shown: another view of it is what would have been shown live.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn views_and_filters_can_be_chosen_later() {
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
            let wanted = |object: &&serde_json::Value| object.to_string().contains(fits);
            let expected: Vec<_> = all.of(kind).filter(wanted).collect();
            let shown: Vec<_> = again.of(kind).collect();
            assert!(!expected.is_empty(), "{flags}");
            assert_eq!(shown, expected, "{backend} {flags}");
        }
    }
}
