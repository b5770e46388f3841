//! `trace --record FILE --quiet`: reports that are recorded and decoded only by the replay.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use probe::net::Namespace;
use serde_json::Value;

use crate::{
    actor::Actor,
    cgroups::Group,
    contract,
    round_trip::play,
    support::{Objects, Outcome, Probe, Running, number},
    tracing::{self, BACKENDS, Stage},
};

/// A quiet trace, and its recording.
struct QuietTrace {
    directory: tempfile::TempDir,
    running: Running,
}

impl QuietTrace {
    fn of(inside: &Namespace, flags: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let flags = format!("{flags} --quiet --record {}", directory.path().join("recording").display());
        let running = inside.enter(|| tracing::begin(&flags, &[inside])).unwrap();
        Self { directory, running }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("recording")
    }

    /// Stops the trace. Returns its output, and the replay of its recording in this view.
    fn end(self, view: &str) -> (Objects, Objects) {
        self.running.signal(Signal::SIGINT);
        let file = self.file();
        let output = self.running.finish().exits(0).silently().objects();
        contract::check_stream(&output);
        (output, tracing::checked(replay(&file, view).exits(0).silently().objects()))
    }
}

fn replay(file: &Path, view: &str) -> Outcome {
    Probe::new(&format!("replay --format json {view}")).arg(file).run()
}

/// The stream without times, which differ since the programs of two traces run one after the other, and without the
/// sockets by which a trace finds its own process id.
fn comparable(objects: &Objects) -> Vec<Vec<Value>> {
    let shown = |kind: &str, fields: &[&str]| -> Vec<Vec<Value>> {
        let of_others = objects.of(kind).filter(|one| one["owner"]["comm"] != "probe");
        of_others.map(|one| fields.iter().map(|field| one[*field].clone()).collect()).collect()
    };
    let mut all = shown("transition", &["socket", "local", "remote", "old", "new", "cause", "owner"]);
    all.extend(shown("connection", &["socket", "open", "path", "owner", "complete", "bytes_sent", "close"]));
    // Without the message, which may have numbers and times.
    all.extend(shown("finding", &["kind", "local", "owner", "remedy"]));
    all.extend(shown("reset", &["local", "remote", "state", "owner", "reason"]));
    all
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_replay_shows_what_another_trace_shows() {
    for backend in BACKENDS {
        for view in ["", "--connections"] {
            let inside = Namespace::private().unwrap();
            let old = Actor::inside(&inside, "old");
            for step in ["listen l 127.0.0.1:7777", "connect c 127.0.0.1:7777", "accept s l"] {
                old.does(step);
            }
            let quiet = QuietTrace::of(&inside, &format!("--backend {backend} {view}"));
            let stage = Stage::of(inside, &format!("--backend {backend} {view}"));
            let group = Group::new("unseen");
            play(&stage, &group, &old);
            let (output, again) = quiet.end(view);
            let live = stage.end();
            let (again_happened, live_happened) = (comparable(&again), comparable(&live));
            for (again, live) in again_happened.iter().zip(&live_happened) {
                assert_eq!(again, live, "{backend} {view}");
            }
            assert_eq!(again_happened.len(), live_happened.len(), "{backend} {view}");
            assert!(again.of("finding").any(|finding| finding["kind"] == "bind-failed"));
            assert!(output.iter().all(|object| ["ready", "end"].contains(&object["type"].as_str().unwrap())));
            let end = output.one("end");
            assert_eq!((&end["transitions"], &end["findings"]), (&Value::Null, &Value::Null));
            assert!(number(&end["recorded"]) >= 9, "{end}");
        }
    }
}

/// The trace reports the loss, and the replay reports it again.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn lost_reports_are_reported_at_once() {
    const BURST: u64 = 1000;
    let inside = Namespace::private().unwrap();
    let mut quiet = QuietTrace::of(&inside, "--no-snapshot --ring-size 64KiB");
    let client = Actor::inside(&inside, "client");
    quiet.running.signal(Signal::SIGSTOP);
    client.does(&format!("try {BURST} 127.0.0.1:9"));
    quiet.running.signal(Signal::SIGCONT);
    quiet.running.wait_for("lost", |object| object["type"] == "lost");
    let (output, again) = quiet.end("");
    let lost = |objects: &Objects| -> u64 { objects.of("lost").map(|lost| number(&lost["count"])).sum() };
    assert_eq!(lost(&output), lost(&again));
    assert_eq!(number(&output.one("end")["lost"]), lost(&output));
    let shown = again.of("transition").count() as u64;
    assert!(shown < BURST && shown + lost(&again) >= 2 * BURST, "{shown} and {}", lost(&again));
}

/// The file has what happened a moment before.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_recording_survives_kill_9_without_its_end() {
    let inside = Namespace::private().unwrap();
    let quiet = QuietTrace::of(&inside, "");
    let client = Actor::inside(&inside, "client");
    client.does("try 100 127.0.0.1:9");
    let deadline = Instant::now() + Duration::from_secs(10);
    let written = || replay(&quiet.file(), "").exits(2).saying(&["cut off at byte"]).objects();
    while written().of("transition").count() < 200 {
        assert!(Instant::now() < deadline, "the recording is not written");
    }
    quiet.running.signal(Signal::SIGKILL);
    let file = quiet.file();
    quiet.running.finish().dies_of(Signal::SIGKILL);
    let again = replay(&file, "").exits(2).saying(&["cut off at byte"]).objects();
    assert_eq!(again.of("connection").count(), 100);
}

/// The last segments are sent after the command has exited.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_quiet_trace_of_a_command_records_its_last_connection_to_the_end() {
    let inside = Namespace::private().unwrap();
    let server = Actor::inside(&inside, "server");
    let server_addr = server.at("listen l 127.0.0.1:0");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("recording");
    let script = format!("exec 3<>/dev/tcp/{}/{}; exit 7", server_addr.ip(), server_addr.port());
    let flags = format!("--quiet --record {}", file.display());
    let probe = tracing::trace_of(&flags, &[&inside]).arg("--").arg("bash").arg("-c").arg(script);
    let running = inside.enter(|| probe.start()).unwrap();
    // The kernel closes the connection when the server closes, too.
    server.does("accept s l");
    server.does("read-to-end s");
    server.does("close s");
    running.finish().exits(7).silently();
    let again = tracing::checked(replay(&file, "").exits(0).silently().objects());
    let client = again.of("connection").find(|one| one["open"] == "active").expect("bash connects");
    assert_eq!((&client["owner"]["comm"], &client["complete"]), (&Value::from("bash"), &Value::from(true)));
}
