//! The tool observing a workload, on each backend and with less than it can normally read.

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::host::{Host, PORTS};
use crate::{
    support::{Objects, PROGRAM, Probe, Running, hiding, number},
    tracing,
};

/// What the tool reads of the kernel's symbols and types.
const SYMBOLS: &str = "/proc/kallsyms";
const TYPES: &str = "/sys/kernel/btf";

/// A backend and what the tool cannot read.
pub type Conditions = (&'static str, &'static [&'static str]);

/// Without symbols there is no stack, so that the socket's fields show the cause; without types there are no fields.
pub const OBSERVERS: [Conditions; 5] = [
    ("tp_btf", &[]),
    ("tracepoint", &[]),
    ("tp_btf", &[SYMBOLS]),
    ("tracepoint", &[TYPES]),
    ("tracepoint", &[SYMBOLS, TYPES]),
];

/// A trace, with its recording to see its connections too.
pub struct Observer {
    running: Running,
    directory: TempDir,
}

/// What was reported.
pub struct Observation {
    /// The output of the trace.
    pub objects: Objects,
    /// That of a replay with `--connections`.
    pub connections: Objects,
}

impl Observer {
    /// Starts to observe the host.
    pub fn of((backend, hidden): Conditions, host: &Host) -> Self {
        let directory = TempDir::new().unwrap();
        let has_netns = !hidden.contains(&TYPES);
        let inside: &[_] = if has_netns { &[&host.inside] } else { &[] };
        let ports = if has_netns { String::new() } else { format!(" --port {}-{}", PORTS.start, PORTS.end) };
        let flags = format!(
            "--no-snapshot --ring-size 8MiB --backend {backend} --record {}{ports}",
            file(&directory)
        );
        let running = hiding(hidden, || tracing::trace_of(&flags, inside).start());
        Self { running: tracing::ready(running), directory }
    }

    /// Ends the trace; `None` if events were lost.
    pub fn end(self) -> Option<Observation> {
        self.running.signal(Signal::SIGINT);
        Observation::of(self.running.finish().exits(0).silently().objects(), &self.directory)
    }
}

impl Observation {
    /// `None` if events were lost.
    fn of(objects: Objects, directory: &TempDir) -> Option<Self> {
        (number(&objects.one("end")["lost"]) == 0).then(|| {
            let objects = objects.with_named_children();
            let replay = format!("replay --connections --format json {}", file(directory));
            Self { objects, connections: Probe::new(&replay).run().exits(0).silently().objects() }
        })
    }
}

/// An audit, observed on this backend. `None` if events were lost.
pub fn of_audit(backend: &str) -> Option<Observation> {
    let directory = TempDir::new().unwrap();
    let flags = format!("--ring-size 8MiB --backend {backend} --record {}", file(&directory));
    let command = format!("exec {PROGRAM} audit >/dev/null");
    let trace = tracing::trace_of(&flags, &[]).arg("--").arg("sh").arg("-c").arg(command);
    Observation::of(trace.run().exits(0).silently().objects(), &directory)
}

fn file(directory: &TempDir) -> String {
    directory.path().join("recording").display().to_string()
}
