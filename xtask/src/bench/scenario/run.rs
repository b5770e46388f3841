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
    /// Time in kernel programs for each transition, in nanoseconds, where statistics were on.
    pub kernel_ns: Option<f64>,
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
}

/// Runs the load with a tracer beside it.
pub fn traced(bench: &mut Bench, tracer: &Tracer, churn: Churn) -> Result<Run> {
    let mut running = Running::start(tracer, bench.place()?)?;
    let before = programs(&running);
    let made = bench.load()?.churn(churn)?;
    running.rests()?;
    let kernel_ns = kernel_ns(&before, &programs(&running));
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

/// The tracer's programs, with their statistics so far.
pub fn programs(running: &Running) -> Vec<Program> {
    running.process().programs().unwrap_or_default()
}

/// The time that all of a tracer's programs took between both moments, for each run of the one that ran most often: that
/// is the one that sees each transition, also those that others on the host make meanwhile. `None` where there were no
/// statistics.
pub fn kernel_ns(before: &[Program], after: &[Program]) -> Option<f64> {
    let earlier = |id| before.iter().find(|program| program.id == id).copied().unwrap_or_default();
    let since = after.iter().map(|program| {
        let earlier = earlier(program.id);
        (program.runs - earlier.runs, program.run_ns - earlier.run_ns)
    });
    let (runs, time) = since.fold((0, 0), |(most, all), (runs, time)| (runs.max(most), all + time));
    (runs > 0).then(|| time as f64 / runs as f64)
}

/// In megabytes.
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// In milliseconds.
pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_programs_count_for_each_transition() {
        let program = |id, runs, run_ns| Program { id, runs, run_ns };
        let before = [program(1, 10, 5_000), program(2, 0, 0)];
        let after = [program(1, 110, 45_000), program(2, 20, 2_000), program(3, 100, 3_000)];
        assert_eq!(kernel_ns(&before, &after), Some(450.0));
        assert_eq!(kernel_ns(&after, &after), None);
    }
}
