//! What is measured, a file each.

mod throughput;

use std::time::Duration;

use anyhow::Result;

use super::{
    Bench,
    load::{Churn, Done},
    process::Program,
    table::Table,
    tracer::{Running, Stopped, Tells, Tracer},
};

/// Something that is measured.
pub struct Scenario {
    /// What it is called: `--scenario NAME`.
    pub name: &'static str,
    /// Measures it. A tracer that cannot is left out and said to be.
    pub measure: fn(&mut Bench) -> Result<Table>,
}

/// All, in the order of the report.
pub const ALL: &[Scenario] = &[Scenario { name: "throughput", measure: throughput::measure }];

/// A tracer's run beside the load.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// What the load has made.
    made: Done,
    /// What the tracer has told and used.
    stopped: Stopped,
    /// Time in kernel programs, where statistics were on.
    kernel_ns: Option<u64>,
}

impl Run {
    /// How much of what it tells of was made.
    fn events(&self, tells: Tells) -> u64 {
        match tells {
            Tells::Transitions | Tells::Count => self.made.transitions,
            Tells::Connections => self.made.connections * 2,
        }
    }

    /// How much is missing of which the tracer has said nothing.
    fn silent(&self, tells: Tells) -> u64 {
        let told = self.stopped.told;
        self.events(tells).saturating_sub(told.events + told.lost)
    }

    /// The reader's CPU time, in seconds for a million transitions.
    fn cpu(&self) -> f64 {
        self.stopped.cpu.as_secs_f64() * 1e6 / self.made.transitions as f64
    }

    /// Time in kernel programs, in nanoseconds for each transition.
    fn kernel(&self) -> Option<f64> {
        Some(self.kernel_ns? as f64 / self.made.transitions as f64)
    }
}

/// Runs the load with a tracer beside it.
fn traced(bench: &mut Bench, tracer: &Tracer, churn: Churn) -> Result<Run> {
    let mut running = Running::start(tracer, bench.place()?)?;
    let before = kernel_ns(&running);
    let made = bench.load()?.churn(churn)?;
    running.rests()?;
    let kernel_ns = kernel_ns(&running).zip(before).map(|(after, before)| after - before);
    Ok(Run { made, stopped: running.stop()?, kernel_ns: kernel_ns.filter(|time| *time > 0) })
}

/// The time that the tracer's programs have run so far; `None` without one.
fn kernel_ns(running: &Running) -> Option<u64> {
    let programs: Vec<Program> = running.process().programs().ok().filter(|programs| !programs.is_empty())?;
    Some(programs.iter().map(|program| program.run_ns).sum())
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
