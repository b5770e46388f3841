//! `cargo xtask bench`: what probe and the tracers that people use in its place cost a host, measured side by side.
//!
//! A scenario ([`scenario`]) runs the load ([`load`]) with and without a tracer ([`tracer`]) beside it, and makes a
//! table of it. Whatever could not be measured is said in the report.

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
    tracer::{Place, Tracer},
    unwatched::ensure_unwatched,
};
use crate::{privilege, setup, workspace};

/// The directory, in cargo's, that the tracers run in and write to, one after the other.
const RUN: &str = "bench/run";

/// The pages that show tables.
const PAGES: [&str; 2] = ["README.md", "docs/benchmarks.md"];

/// What is measured, and for how long.
#[derive(clap::Args)]
pub struct Args {
    /// How often each tracer's throughput is measured, if there is time
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// How many connections each thread makes in a round
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    connections: u64,
    /// How many connections are open at once at most, where that is measured
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    open: u64,
    /// After so many minutes no further round of throughput begins
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Only tracers with one of these texts in their names, such as `json` or `tcp`
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    only: Vec<String>,
    /// Only these scenarios
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(scenario::ALL.iter().map(|scenario| scenario.name)))]
    scenario: Vec<String>,
    /// Where tcpstates and the others are, if not on PATH
    #[arg(long, value_name = "DIRECTORY")]
    peers: Option<PathBuf>,
    /// The probe that is measured; built from this workspace without
    #[arg(long, value_name = "FILE")]
    probe: Option<PathBuf>,
    /// Put the tables into the pages that show them
    #[arg(long)]
    publish: bool,
    /// Where the report goes, as .json and .md [default: bench/report in cargo's target directory]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Measures, prints each table as it is made, and writes the report.
pub fn bench(args: &Args) -> Result<()> {
    ensure_unwatched()?;
    if cfg!(debug_assertions) {
        return Err(optimised(args)?);
    }
    ensure!(privilege::is_root(), "this needs root: run it as root");
    child::clean_up_on_signals()?;
    let run = workspace::target_dir().join(RUN);
    child::undo_on_signal(move || drop(fs::remove_dir_all(&run)));
    let probe = match &args.probe {
        Some(probe) => probe.canonicalize().with_context(|| format!("no probe at {}", probe.display()))?,
        None => build()?,
    };
    let mut bench = Bench::new(args, &probe)?;
    let mut report = Report::begin(&probe)?;
    // Throughput takes the time that is left, so it comes last; it is the first in the report.
    let wanted = |scenario: &&Scenario| {
        args.scenario.is_empty() || args.scenario.iter().any(|name| name == scenario.name)
    };
    for scenario in scenario::ALL.iter().rev().filter(wanted) {
        if scenario.name != scenario::LAST && !bench.has_time_for(Duration::ZERO) {
            bench.trouble(scenario.name, &anyhow!("the time was up (--minutes {})", args.minutes));
            continue;
        }
        eprintln!("{}:", scenario.name);
        let begun = Instant::now();
        let table = (scenario.measure)(&mut bench);
        eprintln!("  {:.0} s", begun.elapsed().as_secs_f64());
        match table {
            Ok(table) => {
                println!("\n{}", table.section());
                report.tables.insert(0, table);
            }
            Err(error) => bench.trouble(scenario.name, &error),
        }
    }
    report.missing = bench.troubles;
    let out = args.out.clone().unwrap_or_else(|| workspace::target_dir().join("bench/report"));
    report.write(&out)?;
    let pages = if args.publish { &PAGES[..] } else { &[] };
    pages.iter().try_for_each(|page| report.publish(&workspace::root().join(page)))
}

/// Becomes the same program as root, compiled with optimisation: the load's own work should not be seen in what it
/// measures. What is built is built before that, as the user.
fn optimised(args: &Args) -> Result<anyhow::Error> {
    let mut cargo = workspace::cargo("run");
    privilege::run_as_root(&mut cargo)?;
    // Paths among the arguments are meant from here.
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
    ensure!(status.success(), "probe could not be built");
    Ok(workspace::target_dir().join("release/probe"))
}

/// What the scenarios share.
struct Bench<'a> {
    args: &'a Args,
    deadline: Instant,
    tracers: Vec<Tracer>,
    load: Option<Load>,
    /// What could not be measured, and why.
    troubles: Vec<(String, String)>,
}

impl<'a> Bench<'a> {
    fn new(args: &'a Args, probe: &Path) -> Result<Self> {
        let mut bench = Self {
            args,
            deadline: Instant::now() + Duration::from_secs(60 * args.minutes),
            tracers: Vec::new(),
            load: None,
            troubles: Vec::new(),
        };
        let peers = Peers::new(args.peers.clone(), workspace::target_dir().join("bench/peers"))?;
        bench.tracers.extend(tracer::probe::modes(probe));
        let peers = peers.tracers(|names, error| bench.trouble(names, &error));
        bench.tracers.extend(peers);
        bench.tracers.push(tracer::floor::counter()?);
        let is_wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|text| name.contains(text));
        bench.tracers.retain(|tracer| is_wanted(tracer.name));
        ensure!(!bench.tracers.is_empty(), "no tracer has a name with one of the texts of --only");
        Ok(bench)
    }

    /// The tracers that are there and asked for.
    fn tracers(&self) -> Vec<Tracer> {
        self.tracers.clone()
    }

    /// Those of them for which this holds.
    fn tracers_that(&self, holds: impl Fn(&Tracer) -> bool) -> Vec<Tracer> {
        self.tracers.iter().filter(|tracer| holds(tracer)).cloned().collect()
    }

    /// How many connections are open at once at most.
    fn most_open(&self) -> u64 {
        self.args.open
    }

    /// How often throughput is measured.
    fn rounds(&self) -> u64 {
        self.args.rounds
    }

    /// How many connections a thread makes.
    fn connections(&self) -> u64 {
        self.args.connections
    }

    /// Whether there is time for something that takes so long.
    fn has_time_for(&self, time: Duration) -> bool {
        Instant::now() + time < self.deadline
    }

    /// An empty directory for a tracer's run.
    fn place(&self) -> Result<Place> {
        Place::clear(&workspace::target_dir().join(RUN))
    }

    /// The load generator; started where there is none, or none any more.
    fn load(&mut self) -> Result<&mut Load> {
        self.load.take_if(|load| load.has_failed);
        match &mut self.load {
            Some(load) => Ok(load),
            none => Ok(none.insert(Load::start()?)),
        }
    }

    /// Ends the load generator, and with it all connections that it keeps open.
    fn end_load(&mut self) {
        self.load = None;
    }

    /// A result, or `None` where there is none, which is noted.
    fn noted<T>(&mut self, tracer: &Tracer, result: Result<T>) -> Option<T> {
        self.noted_as(tracer.name, result)
    }

    fn noted_as<T>(&mut self, what: &str, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.trouble(what, &error)).ok()
    }

    fn trouble(&mut self, what: &str, error: &anyhow::Error) {
        eprintln!("  {what}: {error:#}");
        let trouble = (what.to_owned(), format!("{error:#}"));
        if !self.troubles.contains(&trouble) {
            self.troubles.push(trouble);
        }
    }
}
