//! Causes compared with the kernel's own stack at each state change: a table of kernel functions, independent of the
//! tool, says what each stack proves.
//!
//! - `host`: a host whose peers are emulated
//! - `matrix`, `special`, `timers`: workloads with every state and what can happen in it; `program`: processes
//!   for them
//! - `symbols`, `proof`: stacks and what they prove
//! - `told`, `closed_by`: what each text of a cause may mean, and who then closed the connection
//! - `compare`: finds the stack of each transition

mod closed_by;
mod compare;
pub mod host;
mod matrix;
mod program;
mod proof;
mod special;
mod symbols;
mod timers;
mod told;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    path::Path,
    sync::{Mutex, PoisonError},
};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use self::{compare::Pair, host::Host, symbols::Symbols};
use crate::{
    kernel_trace::{Change, Trace},
    support::{Objects, Probe, Running, number, text},
    tracing,
};

/// Connections to make and to end.
#[derive(Clone, Copy, Debug)]
enum Workload {
    /// Every state with every event.
    States,
    /// Listeners, children, orphans, Fast Open, TCP_REPAIR, failing calls.
    Special,
    Timers,
    WithoutRoute,
}

impl Workload {
    /// What was observed of it.
    fn observed(self) -> Observed {
        /// One at a time: the kernel's trace is of the whole host.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        tracing::undisturbed(|| self.watched())
    }

    /// `None` if changes were lost.
    fn run(self, host: &Host, trace: &mut Trace) -> Option<()> {
        match self {
            Self::States => {
                matrix::run(host);
                Some(())
            }
            Self::Special => {
                special::run(host);
                Some(())
            }
            Self::Timers => timers::run(host, trace),
            Self::WithoutRoute => timers::without_route(host, trace),
        }
    }

    /// Runs it on a host of its own with a trace of each backend. `None` if events were lost.
    fn watched(self) -> Option<Observed> {
        let host = Host::new();
        let mut trace = Trace::with_stacks();
        let recordings: Vec<_> = tracing::backends().iter().copied().map(Recording::new).collect();
        let begin = |recording: &Recording| {
            let flags = format!("--no-snapshot --ring-size 8MiB {}", recording.flags());
            tracing::begin(&flags, &[&host.inside])
        };
        let running: Vec<_> = recordings.iter().map(begin).collect();
        let is_whole = self.run(&host, &mut trace).is_some();
        let reported = running.into_iter().map(end).collect();
        if !is_whole {
            return None;
        }
        Observed::of(reported, &recordings, trace, host.labels())
    }
}

/// Stops a trace.
fn end(running: Running) -> Objects {
    running.signal(Signal::SIGINT);
    running.finish().exits(0).silently().objects().with_named_children()
}

/// The recording of a trace, to see its connections too.
struct Recording {
    directory: TempDir,
    backend: &'static str,
}

impl Recording {
    fn new(backend: &'static str) -> Self {
        Self { directory: TempDir::new().unwrap(), backend }
    }

    fn file(&self) -> String {
        self.directory.path().join("recording").display().to_string()
    }

    fn flags(&self) -> String {
        format!("--backend {} --record {}", self.backend, self.file())
    }

    fn connections(&self) -> Objects {
        let replay = format!("replay --connections --format json {}", self.file());
        Probe::new(&replay).run().exits(0).silently().objects()
    }
}

/// What each backend reported of a workload, and what the kernel recorded.
struct Observed {
    reported: Vec<Objects>,
    connections: Vec<Objects>,
    recorded: Vec<Change>,
    /// What happened on each local port.
    labels: BTreeMap<u16, String>,
}

impl Observed {
    /// `None` if events were lost.
    fn of(
        reported: Vec<Objects>,
        recordings: &[Recording],
        trace: Trace,
        labels: BTreeMap<u16, String>,
    ) -> Option<Self> {
        let is_whole = reported.iter().all(|objects| number(&objects.one("end")["lost"]) == 0);
        let recorded = trace.end().filter(|_| is_whole)?;
        let connections = recordings.iter().map(Recording::connections).collect();
        Some(Self { reported, connections, recorded, labels })
    }

    fn label(&self, transition: &Value) -> &str {
        let at = |end: &str| self.labels.get(&u16::try_from(transition[end]["port"].as_u64()?).ok()?);
        at("local").or_else(|| at("remote")).map_or("", String::as_str)
    }

    /// Compares every reported cause with the stack, and every `closed_by` with what it proves.
    fn agrees(&self) {
        let symbols = Symbols::read();
        let mut report = Report::default();
        let (mut pairs, mut without_stack) = (0, 0);
        for (objects, connections) in self.reported.iter().zip(&self.connections) {
            let closed: HashMap<_, _> = connections
                .of("connection")
                .map(|connection| (tracing::id(connection), connection))
                .collect();
            for pair in compare::pairs(objects, &self.recorded, &symbols) {
                let label = self.label(pair.reported);
                pairs += 1;
                without_stack += usize::from(pair.frames.is_empty());
                report.add(&pair, label, pair.contradiction());
                let Some(connection) = closed.get(&tracing::id(pair.reported)) else { continue };
                let is_last = connection["closed"] == pair.reported["time"];
                let closed_by = connection["closed_by"].as_str();
                // Of a cause that is wrong, what follows is wrong.
                if is_last && pair.contradiction().is_none() && pair.contradicts_closed_by(closed_by) {
                    let why = format!("closed_by {}", closed_by.unwrap_or("null"));
                    report.add(&pair, label, Some(&why));
                }
            }
        }
        // Seen where several tracefs instances record at once: the kernel leaves out some.
        assert!(without_stack * 2 < pairs, "{without_stack} of {pairs} changes have no stack");
        report.check();
    }
}

/// Rows of what was reported and what the stack proves, each with its count and an example.
#[derive(Default)]
struct Report {
    rows: BTreeMap<(String, String), (usize, String)>,
}

impl Report {
    fn add(&mut self, pair: &Pair<'_>, label: &str, contradiction: Option<&str>) {
        let transition = pair.reported;
        let proven = pair.proof.map_or_else(|| "nothing".to_owned(), |proof| format!("{proof:?}"));
        let row = format!(
            "{} {}→{}: told `{}`, proven {proven} by {}",
            text(&transition["protocol"]),
            text(&transition["old"]),
            text(&transition["new"]),
            pair.told(),
            pair.frames.join(" < ")
        );
        let key = (contradiction.unwrap_or("").to_owned(), row);
        self.rows.entry(key).or_insert((0, label.to_owned())).0 += 1;
    }

    fn check(&self) {
        let lines = |is_shown: fn(&str) -> bool| {
            let rows = self.rows.iter().filter(|((why, _), _)| is_shown(why));
            rows.fold(String::new(), |mut lines, ((why, row), (count, label))| {
                writeln!(lines, "{why} | {count}x | {label} | {row}").unwrap();
                lines
            })
        };
        // The whole matrix, for a person.
        if let Ok(file) = std::env::var("PROBE_TEST_CAUSES") {
            let mut file = File::options().append(true).create(true).open(file).unwrap();
            file.write_all(lines(|_| true).as_bytes()).unwrap();
        }
        let wrong = lines(|why| !why.is_empty());
        assert!(wrong.is_empty(), "{wrong}");
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn no_cause_contradicts_the_stack_in_any_state() {
    Workload::States.observed().agrees();
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn no_cause_contradicts_the_stack_of_listeners_orphans_and_failures() {
    Workload::Special.observed().agrees();
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn no_cause_contradicts_the_stack_of_a_timer() {
    Workload::Timers.observed().agrees();
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn no_cause_contradicts_the_stack_where_the_route_has_gone() {
    Workload::WithoutRoute.observed().agrees();
}

/// The texts of all causes, from the file that has them: from the function `detail` to the tests.
fn texts() -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/model/cause.rs");
    let source = fs::read_to_string(file).unwrap();
    let (_, texts) = source.split_once("pub fn detail").expect("a function with the texts");
    let (texts, _) = texts.split_once("#[cfg(test)]").expect("and tests after it");
    let code: String = texts.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    code.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_cause_has_a_row_with_its_proofs() {
    let rows: BTreeSet<String> = told::TOLD.iter().map(|(text, _)| (*text).to_owned()).collect();
    let missing: Vec<_> = texts().into_iter().filter(|text| !rows.contains(text)).collect();
    assert!(missing.is_empty(), "told.rs has no row for {missing:#?}");
}
