//! A tracer beside the load: what was made, what was told of it, and what that took.

use std::time::Duration;

use anyhow::Result;

use crate::bench::{
    Bench,
    load::{Churn, Done},
    process::Program,
    tracer::{Running, Stopped, Tells, Tracer},
};

/// A tracer's run beside the load.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// What the load has made.
    pub made: Done,
    /// What the tracer has told and used.
    pub stopped: Stopped,
    /// From its start to its readiness.
    pub to_ready: Duration,
    /// Time in kernel programs, where statistics were on.
    kernel_ns: Option<u64>,
}

impl Run {
    /// How much is missing of which the tracer has said nothing.
    pub fn silent(&self, tells: Tells) -> u64 {
        silent(tells, self.made, &self.stopped)
    }

    /// The reader's CPU time, in seconds for a million transitions.
    pub fn cpu(&self) -> f64 {
        per_million(self.stopped.cpu, self.made)
    }

    /// Time in kernel programs, in nanoseconds for each transition.
    pub fn kernel(&self) -> Option<f64> {
        Some(self.kernel_ns? as f64 / self.made.transitions as f64)
    }
}

/// Runs the load with a tracer beside it.
pub fn traced(bench: &mut Bench, tracer: &Tracer, churn: Churn) -> Result<Run> {
    let mut running = Running::start(tracer, bench.place()?)?;
    let before = kernel_ns(&running);
    let made = bench.load()?.churn(churn)?;
    running.rests()?;
    let kernel_ns = spent(before, kernel_ns(&running));
    let to_ready = running.to_ready;
    Ok(Run { made, stopped: running.stop()?, to_ready, kernel_ns })
}

/// Runs each tracer once, with an untraced run before and after each. Gives `each` the tracer's place in the list, its
/// run, and its connections a second in relation to the mean of both neighbours. Gives the rates of the untraced runs.
pub fn interleaved(
    bench: &mut Bench,
    tracers: &[Tracer],
    churn: Churn,
    mut each: impl FnMut(usize, Run, f64),
) -> Result<Vec<f64>> {
    let mut untraced = vec![bench.load()?.churn(churn)?.rate()];
    for (at, tracer) in tracers.iter().enumerate() {
        let run = traced(bench, tracer, churn);
        let (before, after) = (untraced[at], bench.load()?.churn(churn)?.rate());
        untraced.push(after);
        if let Some(run) = bench.noted(tracer, run) {
            each(at, run, run.made.rate() / ((before + after) / 2.0));
        }
    }
    Ok(untraced)
}

/// How much is missing of what was made, beside what the tracer says that it has lost.
pub fn silent(tells: Tells, made: Done, stopped: &Stopped) -> u64 {
    let events = match tells {
        Tells::Transitions | Tells::Count => made.transitions,
        Tells::Connections => made.connections * 2,
    };
    events.saturating_sub(stopped.told.events + stopped.told.lost)
}

/// CPU time in seconds for a million transitions.
pub fn per_million(cpu: Duration, made: Done) -> f64 {
    cpu.as_secs_f64() * 1e6 / made.transitions as f64
}

/// The time that the tracer's programs have run so far; `None` without one.
pub fn kernel_ns(running: &Running) -> Option<u64> {
    let programs: Vec<Program> = running.process().programs().ok().filter(|programs| !programs.is_empty())?;
    Some(programs.iter().map(|program| program.run_ns).sum())
}

/// The time between both; `None` where there were no statistics.
pub fn spent(before: Option<u64>, after: Option<u64>) -> Option<u64> {
    before.zip(after).map(|(before, after)| after - before).filter(|time| *time > 0)
}

/// In megabytes.
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// In milliseconds.
pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
