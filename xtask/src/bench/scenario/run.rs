//! One run of the load under a tracer: what was made, what was reported, and at what cost.

use std::time::Duration;

use anyhow::Result;

use crate::bench::{
    Bench,
    load::{Churn, Completed},
    process::Program,
    tracer::{Finished, Reports, Running, Tracer},
};

/// One run of the load under a tracer.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// What the load made.
    pub made: Completed,
    /// What the tracer reported and used.
    pub finished: Finished,
    /// From its start to its readiness.
    pub to_ready: Duration,
    /// Time in kernel programs for each transition, in nanoseconds, where statistics were on.
    pub kernel_ns: Option<f64>,
}

impl Run {
    /// How much is missing of which the tracer has said nothing.
    pub fn silent(&self, reports: Reports) -> u64 {
        silent(reports, self.made, &self.finished)
    }

    /// The reader's CPU time, in seconds for a million transitions.
    pub fn cpu(&self) -> f64 {
        per_million(self.finished.cpu, self.made)
    }
}

/// Runs the load under a tracer.
pub fn traced(bench: &mut Bench, tracer: &Tracer, churn: Churn) -> Result<Run> {
    let mut running = Running::start(tracer, bench.dir()?)?;
    let before = programs(&running);
    let made = bench.load()?.churn(churn)?;
    running.drain()?;
    let kernel_ns = kernel_ns(&before, &programs(&running));
    let to_ready = running.to_ready;
    Ok(Run { made, finished: running.stop()?, to_ready, kernel_ns })
}

/// Runs each tracer once, with an untraced run before and after it. Passes the tracer's index, its run, and its rate
/// relative to the mean of both untraced neighbours to `each`. Returns the rates of the untraced runs.
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
        if let Some(run) = bench.or_note(tracer, run) {
            each(at, run, run.made.rate() / ((before + after) / 2.0));
        }
    }
    Ok(untraced)
}

/// Events that were made but neither reported nor reported as lost.
pub fn silent(reports: Reports, made: Completed, finished: &Finished) -> u64 {
    let events = match reports {
        Reports::Transitions | Reports::Count => made.transitions,
        Reports::Connections => made.connections * 2,
    };
    events.saturating_sub(finished.reported.events + finished.reported.lost)
}

/// CPU seconds per million transitions.
pub fn per_million(cpu: Duration, made: Completed) -> f64 {
    cpu.as_secs_f64() * 1e6 / made.transitions as f64
}

/// The tracer's BPF programs with their current statistics.
pub fn programs(running: &Running) -> Vec<Program> {
    running.process().programs().unwrap_or_default()
}

/// Time in all of a tracer's BPF programs between the two samples, divided by the runs of the one that ran most often:
/// that one sees each transition, including those of unrelated processes. `None` without
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
    fn the_time_of_all_programs_is_divided_by_the_transitions() {
        let program = |id, runs, run_ns| Program { id, runs, run_ns };
        let before = [program(1, 10, 5_000), program(2, 0, 0)];
        let after = [program(1, 110, 45_000), program(2, 20, 2_000), program(3, 100, 3_000)];
        assert_eq!(kernel_ns(&before, &after), Some(450.0));
        assert_eq!(kernel_ns(&after, &after), None);
    }
}
