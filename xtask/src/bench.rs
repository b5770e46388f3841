//! `cargo xtask bench`: what probe and comparable tracers cost a host, measured side by side.
//!
//! A scenario ([`scenario`]) runs the load ([`load`]) with and without a tracer ([`tracer`]) attached and tabulates the
//! results. The report lists what could not be measured, and why.

mod child;
mod floor;
mod load;
mod peers;
mod process;
mod publish;
mod report;
mod scenario;
mod spread;
mod statistics;
mod table;
mod tracer;
mod unwatched;

use std::{
    env, fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};

pub use self::{
    floor::{CHORE as FLOOR, count_transitions},
    load::{
        generator::{CHORE as LOAD, generate},
        hold::{CHORE as HOLD, keep},
    },
};
use self::{
    load::Load,
    peers::Peers,
    report::Report,
    scenario::Scenario,
    tracer::{OutputDir, Tracer},
    unwatched::ensure_unwatched,
};
use crate::{privilege, setup, workspace};

/// The directory below cargo's target directory in which the tracers run and write, one at a time.
const RUN: &str = "bench/run";

/// The pages that show the tables.
const PAGES: [&str; 2] = ["README.md", "docs/benchmarks.md"];

/// What to measure, and for how long.
#[derive(clap::Args)]
pub struct Args {
    /// Throughput rounds per tracer, as far as --minutes allows
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Connections per thread and round
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    connections: u64,
    /// Concurrently open connections in the scenario `open`
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    open: u64,
    /// Start no further throughput round after this many minutes
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Only tracers whose names contain one of these, such as `json` or `tcp`
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    only: Vec<String>,
    /// Only these scenarios
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(scenario::ALL.iter().map(|scenario| scenario.name)))]
    scenario: Vec<String>,
    /// Directory of tcpstates and the other tracers, if not on PATH
    #[arg(long, value_name = "DIRECTORY")]
    peers: Option<PathBuf>,
    /// The probe binary to measure [default: built from this workspace]
    #[arg(long, value_name = "FILE")]
    probe: Option<PathBuf>,
    /// Write the tables into the documentation pages that show them
    #[arg(long)]
    publish: bool,
    /// Base name of the report's .json and .md files [default: bench/report in cargo's target directory]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs the scenarios, prints each table when it is complete, and writes the report.
pub fn bench(args: &Args) -> Result<()> {
    ensure_unwatched()?;
    if cfg!(debug_assertions) {
        return Err(reexec_optimised(args)?);
    }
    ensure!(privilege::is_root(), "measuring needs root: run it as root");
    child::clean_up_on_signals()?;
    let run = workspace::target_dir().join(RUN);
    child::undo_on_signal(move || drop(fs::remove_dir_all(&run)));
    let probe = match &args.probe {
        Some(probe) => probe.canonicalize().with_context(|| format!("no probe at {}", probe.display()))?,
        None => build()?,
    };
    let mut bench = Bench::new(args, &probe)?;
    let mut report = Report::begin(&probe)?;
    // Throughput uses the remaining time, so it runs last; in the report it comes first.
    let wanted = |scenario: &&Scenario| {
        args.scenario.is_empty() || args.scenario.iter().any(|name| name == scenario.name)
    };
    for scenario in scenario::ALL.iter().rev().filter(wanted) {
        if scenario.name != scenario::LAST && !bench.has_time_for(Duration::ZERO) {
            bench.note_failure(scenario.name, &anyhow!("no time left (--minutes {})", args.minutes));
            continue;
        }
        eprintln!("{}:", scenario.name);
        let started = Instant::now();
        let table = (scenario.measure)(&mut bench);
        eprintln!("  {:.0} s", started.elapsed().as_secs_f64());
        match table {
            Ok(table) => {
                println!("\n{}", table.section());
                report.tables.insert(0, table);
            }
            Err(error) => bench.note_failure(scenario.name, &error),
        }
    }
    report.missing = bench.failures;
    let out = args.out.clone().unwrap_or_else(|| workspace::target_dir().join("bench/report"));
    report.write(&out)?;
    let pages = if args.publish { &PAGES[..] } else { &[] };
    pages.iter().try_for_each(|page| report.publish(&workspace::root().join(page)))
}

/// Re-executes this program as root and optimised, so that the load generator's own work does not show in the
/// figures. Everything is built before that, as the user.
fn reexec_optimised(args: &Args) -> Result<anyhow::Error> {
    let mut cargo = workspace::cargo("run");
    privilege::run_as_root(&mut cargo)?;
    // Paths in the arguments are relative to the current directory.
    cargo.current_dir(env::current_dir()?);
    cargo.args(["--quiet", "--release", "--package", "xtask", "--"]).args(env::args_os().skip(1));
    if args.probe.is_none() {
        cargo.arg("--probe").arg(build()?);
    }
    Ok(anyhow::Error::new(cargo.exec()).context("could not run cargo"))
}

/// Builds probe and gives its path.
fn build() -> Result<PathBuf> {
    setup::toolchain()?;
    let status = workspace::cargo("build").args(["--release", "--package", "probe"]).status()?;
    ensure!(status.success(), "building probe failed");
    Ok(workspace::target_dir().join("release/probe"))
}

/// State shared by the scenarios.
struct Bench<'a> {
    args: &'a Args,
    deadline: Instant,
    tracers: Vec<Tracer>,
    load: Option<Load>,
    /// What could not be measured, and why.
    failures: Vec<(String, String)>,
}

impl<'a> Bench<'a> {
    fn new(args: &'a Args, probe: &Path) -> Result<Self> {
        let mut bench = Self {
            args,
            deadline: Instant::now() + Duration::from_secs(60 * args.minutes),
            tracers: Vec::new(),
            load: None,
            failures: Vec::new(),
        };
        let peers = Peers::new(args.peers.clone(), workspace::target_dir().join("bench/peers"))?;
        bench.tracers.extend(tracer::probe::modes(probe));
        let peers = peers.tracers(|names, error| bench.note_failure(names, &error));
        bench.tracers.extend(peers);
        bench.tracers.push(tracer::floor::counter()?);
        let is_wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|text| name.contains(text));
        bench.tracers.retain(|tracer| is_wanted(tracer.name));
        ensure!(!bench.tracers.is_empty(), "no tracer's name contains any of the texts given with --only");
        Ok(bench)
    }

    /// The tracers that are installed and selected.
    fn tracers(&self) -> Vec<Tracer> {
        self.tracers.clone()
    }

    /// The selected tracers that satisfy the predicate.
    fn tracers_that(&self, predicate: impl Fn(&Tracer) -> bool) -> Vec<Tracer> {
        self.tracers.iter().filter(|tracer| predicate(tracer)).cloned().collect()
    }

    /// Maximum number of concurrently open connections.
    fn max_open(&self) -> u64 {
        self.args.open
    }

    /// Number of throughput rounds.
    fn rounds(&self) -> u64 {
        self.args.rounds
    }

    /// Connections per thread and round.
    fn connections(&self) -> u64 {
        self.args.connections
    }

    /// Whether that much time is left before the deadline.
    fn has_time_for(&self, time: Duration) -> bool {
        Instant::now() + time < self.deadline
    }

    /// An empty directory for a tracer's run.
    fn dir(&self) -> Result<OutputDir> {
        OutputDir::clear(&workspace::target_dir().join(RUN))
    }

    /// The load generator, started on first use and after a failure.
    fn load(&mut self) -> Result<&mut Load> {
        self.load.take_if(|load| load.has_failed);
        match &mut self.load {
            Some(load) => Ok(load),
            none => Ok(none.insert(Load::start()?)),
        }
    }

    /// Stops the load generator, which closes all connections that it holds open.
    fn end_load(&mut self) {
        self.load = None;
    }

    /// The result, or `None` with the failure noted for the report.
    fn or_note<T>(&mut self, tracer: &Tracer, result: Result<T>) -> Option<T> {
        self.or_note_as(tracer.name, result)
    }

    fn or_note_as<T>(&mut self, what: &str, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.note_failure(what, &error)).ok()
    }

    fn note_failure(&mut self, what: &str, error: &anyhow::Error) {
        eprintln!("  {what}: {error:#}");
        let failure = (what.to_owned(), format!("{error:#}"));
        if !self.failures.contains(&failure) {
            self.failures.push(failure);
        }
    }
}
