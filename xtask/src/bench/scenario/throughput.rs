//! What a tracer leaves of the host's connections a second, and what it takes for that.

use std::time::Instant;

use anyhow::Result;

use super::run::{Run, interleaved, megabytes, traced};
use crate::bench::{
    Bench,
    load::Churn,
    spread::Spread,
    statistics::Statistics,
    table::{Column, Row, Table, Value},
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
#[derive(Clone, Default)]
struct Results {
    /// For each of [`THREADS`].
    kept: [Vec<f64>; 2],
    rates: [Vec<f64>; 2],
    runs: Vec<Run>,
    kernel: Option<f64>,
}

pub fn measure(bench: &mut Bench) -> Result<Table> {
    let tracers = bench.tracers();
    let mut results = vec![Results::default(); tracers.len()];
    let mut untraced = Results::default();
    kernel_time(bench, &tracers, &mut results);
    for _ in 0..bench.rounds() {
        let begun = Instant::now();
        for (case, threads) in THREADS.into_iter().enumerate() {
            let churn = Churn::of(threads, threads * bench.connections());
            let rates = interleaved(bench, &tracers, churn, |at, run, kept| {
                results[at].kept[case].push(kept);
                results[at].rates[case].push(run.made.rate());
                results[at].runs.push(run);
            })?;
            untraced.rates[case].extend(rates);
        }
        if !bench.has_time_for(begun.elapsed()) {
            break;
        }
    }
    let mut rows = vec![row("untraced", &untraced, Tells::Count)];
    let measured = tracers.iter().zip(&results).filter(|(_, results)| !results.runs.is_empty());
    rows.extend(measured.map(|(tracer, results)| row(tracer.name, results, tracer.tells)));
    Ok(Table { name: "throughput", about: ABOUT.to_owned(), columns: columns(), rows })
}

/// One run of each with the kernel's statistics.
fn kernel_time(bench: &mut Bench, tracers: &[Tracer], results: &mut [Results]) {
    let Some(_on) = bench.noted_as("kernel time", Statistics::on()) else { return };
    for (tracer, results) in tracers.iter().zip(results) {
        let run = traced(bench, tracer, Churn::of(1, bench.connections()));
        results.kernel = bench.noted(tracer, run).and_then(|run| run.kernel_ns);
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column { key: "kept_t1", title: "kept T1", digits: 2 },
        Column { key: "kept_t2", title: "kept T2", digits: 2 },
        Column { key: "connections_per_s_t1", title: "per s T1", digits: 0 },
        Column { key: "connections_per_s_t2", title: "per s T2", digits: 0 },
        Column { key: "kernel_ns_per_transition", title: "kernel ns", digits: 0 },
        Column { key: "reader_s_per_million", title: "reader s/M", digits: 2 },
        Column { key: "rss_mb", title: "RSS MB", digits: 1 },
        Column { key: "bytes_per_transition", title: "bytes", digits: 0 },
        Column { key: "lost", title: "lost", digits: 0 },
        Column { key: "silent", title: "silent", digits: 0 },
    ]
}

fn row(name: &str, results: &Results, tells: Tells) -> Row {
    let Results { kept, rates, runs, kernel } = results;
    let spread = |values: &[f64]| Value::from(Spread::of(values.iter().copied()));
    let median = |values: &mut dyn Iterator<Item = f64>| Spread::of(values).map(|spread| spread.median);
    let sum = |each: &dyn Fn(&Run) -> u64| {
        Value::from((!runs.is_empty()).then(|| runs.iter().map(each).sum::<u64>() as f64))
    };
    Row {
        of: name.to_owned(),
        values: vec![
            spread(&kept[0]),
            spread(&kept[1]),
            median(&mut rates[0].iter().copied()).into(),
            median(&mut rates[1].iter().copied()).into(),
            (*kernel).into(),
            Spread::of(runs.iter().map(Run::cpu)).into(),
            median(&mut runs.iter().map(|run| megabytes(run.stopped.memory))).into(),
            median(&mut runs.iter().map(|run| run.stopped.written as f64 / run.made.transitions as f64))
                .into(),
            sum(&|run| run.stopped.told.lost),
            sum(&|run| run.silent(tells)),
        ],
    }
}
