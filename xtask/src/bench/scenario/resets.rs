//! `throughput` for connections that end with an RST: probe also reports who sent it,
//! and the kernel's reason.

use anyhow::Result;

use super::run::{Run, interleaved};
use crate::bench::{
    Bench,
    load::{Churn, Close},
    spread::Spread,
    table::{Column, Row, Table},
    tracer::Reports,
};

const ROUNDS: u64 = 2;

const ABOUT: &str =
    "Connections that one endpoint resets, six transitions each, one thread. Columns as in `throughput`.";

pub fn measure(bench: &mut Bench) -> Result<Table> {
    let tracers = bench.tracers_that(|tracer| tracer.is_probe || tracer.name == "tcpstates");
    let churn = Churn { close: Close::Reset, ..Churn::of(1, bench.connections()) };
    let mut results: Vec<Vec<(Run, f64)>> = vec![Vec::new(); tracers.len()];
    for _ in 0..ROUNDS.min(bench.rounds()) {
        interleaved(bench, &tracers, churn, |at, run, kept| results[at].push((run, kept)))?;
    }
    let row = |name: &str, reports: Reports, runs: &[(Run, f64)]| Row {
        of: name.to_owned(),
        values: vec![
            Spread::of(runs.iter().map(|(_, kept)| *kept)).into(),
            Spread::of(runs.iter().map(|(run, _)| run.cpu())).into(),
            runs.iter().map(|(run, _)| run.finished.reported.lost).sum::<u64>().into(),
            runs.iter().map(|(run, _)| run.silent(reports)).sum::<u64>().into(),
        ],
    };
    let measured = tracers.iter().zip(&results).filter(|(_, runs)| !runs.is_empty());
    let rows = measured.map(|(tracer, runs)| row(tracer.name, tracer.reports, runs)).collect();
    let columns = vec![
        Column { key: "kept_t1", title: "kept T1", digits: 2 },
        Column { key: "reader_s_per_million", title: "reader s/M", digits: 2 },
        Column { key: "lost", title: "lost", digits: 0 },
        Column { key: "silent", title: "silent", digits: 0 },
    ];
    Ok(Table { name: "resets", about: ABOUT.to_owned(), columns, rows })
}
