//! A tracer's effect on the host's connection rate, and its own cost.

use std::time::Instant;

use anyhow::Result;

use super::run::{Run, interleaved, megabytes, traced};
use crate::bench::{
    Bench,
    load::Churn,
    spread::Spread,
    statistics::Statistics,
    table::{Column, Row, Table, Value},
    tracer::{Reports, Tracer},
};

/// Numbers of concurrent threads.
const THREADS: [u64; 2] = [1, 2];

const ABOUT: &str = "Connections are opened, accepted and closed over loopback, ten transitions each, as fast as one \
    thread (T1) and two (T2) can. `kept`: connections per second with the tracer, relative to the mean of the \
    untraced runs right before and after. `kernel`: time in the tracer's BPF programs per transition (in a \
    separate run, since BPF statistics cost time as well). `reader`: the tracer's own CPU time per million \
    transitions. `lost`: reported as lost; `silent`: missing and not reported. Median of the rounds \
    (smallest–largest).";

/// The results of all rounds for one tracer.
#[derive(Clone, Default)]
struct Results {
    /// Per entry of [`THREADS`].
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
        let started = Instant::now();
        for (case, threads) in THREADS.into_iter().enumerate() {
            let churn = Churn::of(threads, threads * bench.connections());
            let rates = interleaved(bench, &tracers, churn, |at, run, kept| {
                results[at].kept[case].push(kept);
                results[at].rates[case].push(run.made.rate());
                results[at].runs.push(run);
            })?;
            untraced.rates[case].extend(rates);
        }
        if !bench.has_time_for(started.elapsed()) {
            break;
        }
    }
    let mut rows = vec![row("untraced", &untraced, Reports::Count)];
    let measured = tracers.iter().zip(&results).filter(|(_, results)| !results.runs.is_empty());
    rows.extend(measured.map(|(tracer, results)| row(tracer.name, results, tracer.reports)));
    Ok(Table { name: "throughput", about: ABOUT.to_owned(), columns: columns(), rows })
}

/// One run of each tracer with BPF statistics enabled.
fn kernel_time(bench: &mut Bench, tracers: &[Tracer], results: &mut [Results]) {
    let Some(_on) = bench.or_note_as("kernel time", Statistics::enable()) else { return };
    for (tracer, results) in tracers.iter().zip(results) {
        let run = traced(bench, tracer, Churn::of(1, bench.connections()));
        results.kernel = bench.or_note(tracer, run).and_then(|run| run.kernel_ns);
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

fn row(name: &str, results: &Results, reports: Reports) -> Row {
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
            median(&mut runs.iter().map(|run| megabytes(run.finished.memory))).into(),
            median(&mut runs.iter().map(|run| run.finished.written as f64 / run.made.transitions as f64))
                .into(),
            sum(&|run| run.finished.reported.lost),
            sum(&|run| run.silent(reports)),
        ],
    }
}
