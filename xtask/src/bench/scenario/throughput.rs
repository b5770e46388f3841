//! What a tracer leaves of the host's connections a second, and what it takes for that.

use anyhow::Result;

use super::{Run, megabytes, traced};
use crate::bench::{
    Bench,
    load::Churn,
    spread::Spread,
    statistics::Statistics,
    table::{Column, Row, Table},
    tracer::{Tells, Tracer},
};

/// How many threads make connections at the same time.
const THREADS: [u64; 2] = [1, 2];

const ABOUT: &str = "Connections are opened, accepted and closed over loopback, ten transitions each, as fast as one \
    thread (T1) and two (T2) can. `kept`: connections a second with the tracer, in relation to the mean of the \
    untraced runs right before and after it. `kernel`: time in the tracer's kernel programs for each transition (in a \
    run of its own, since the kernel's statistics cost time as well). `reader`: the tracer's own CPU time for a million \
    transitions. `lost`: what it says that it has lost; `silent`: what is missing without a word. Median of the rounds \
    (smallest–largest).";

/// What the rounds have given for one tracer.
#[derive(Default)]
struct Results {
    /// For each of [`THREADS`].
    kept: [Vec<f64>; 2],
    runs: Vec<Run>,
    kernel: Option<f64>,
}

pub fn measure(bench: &mut Bench) -> Result<Table> {
    let tracers = bench.tracers();
    let mut results: Vec<Results> = tracers.iter().map(|_| Results::default()).collect();
    let mut untraced = Vec::new();
    kernel_time(bench, &tracers, &mut results);
    for _ in 0..bench.rounds() {
        let begun = std::time::Instant::now();
        for (at, threads) in THREADS.into_iter().enumerate() {
            let churn = Churn::of(threads, threads * bench.connections());
            let mut before = bench.load()?.churn(churn)?.rate();
            for (tracer, results) in tracers.iter().zip(&mut results) {
                let run = traced(bench, tracer, churn);
                let after = bench.load()?.churn(churn)?.rate();
                if let Some(run) = bench.noted(tracer, run) {
                    results.kept[at].push(run.made.rate() / ((before + after) / 2.0));
                    results.runs.push(run);
                }
                untraced.push((threads, before));
                before = after;
            }
        }
        if !bench.has_time_for(begun.elapsed()) {
            break;
        }
    }
    let rates = THREADS.map(|threads| {
        let of_these = untraced.iter().filter(|(made_by, _)| *made_by == threads);
        Spread::of(of_these.map(|(_, rate)| *rate))
    });
    let mut rows = vec![Row {
        of: "untraced (connections/s)".to_owned(),
        values: rates.map(Into::into).into_iter().chain((0..6).map(|_| None::<Spread>.into())).collect(),
    }];
    rows.extend(tracers.iter().zip(&results).filter(|(_, results)| !results.runs.is_empty()).map(row));
    Ok(Table { name: "throughput", about: ABOUT.to_owned(), columns: columns(), rows })
}

/// One run of each with the kernel's statistics.
fn kernel_time(bench: &mut Bench, tracers: &[Tracer], results: &mut [Results]) {
    let Some(_on) = bench.noted_as("kernel time", Statistics::on()) else { return };
    for (tracer, results) in tracers.iter().zip(results) {
        let run = traced(bench, tracer, Churn::of(1, bench.connections()));
        results.kernel = bench.noted(tracer, run).and_then(|run| run.kernel());
    }
}

fn columns() -> Vec<Column> {
    let column = |key, title, digits| Column { key, title, digits };
    vec![
        column("kept_t1", "kept T1", 2),
        column("kept_t2", "kept T2", 2),
        column("kernel_ns_per_transition", "kernel ns", 0),
        column("reader_s_per_million", "reader s/M", 2),
        column("rss_mb", "RSS MB", 1),
        column("bytes_per_transition", "bytes", 0),
        column("lost", "lost", 0),
        column("silent", "silent", 0),
    ]
}

fn row((tracer, results): (&Tracer, &Results)) -> Row {
    let runs = &results.runs;
    let [one, two] = &results.kept;
    let sum = |each: fn(&Run, Tells) -> u64| runs.iter().map(|run| each(run, tracer.tells)).sum::<u64>();
    let written = |run: &Run| run.stopped.written as f64 / run.made.transitions as f64;
    Row {
        of: tracer.name.to_owned(),
        values: vec![
            Spread::of(one.iter().copied()).into(),
            Spread::of(two.iter().copied()).into(),
            results.kernel.into(),
            Spread::of(runs.iter().map(Run::cpu)).into(),
            Spread::of(runs.iter().map(|run| megabytes(run.stopped.memory))).into(),
            Spread::of(runs.iter().map(written)).map(|spread| spread.median).into(),
            sum(|run, _| run.stopped.told.lost).into(),
            sum(Run::silent).into(),
        ],
    }
}
