//! More threads than CPUs: the reader competes for CPU, and what it does not read in time is lost.

use std::thread;

use anyhow::Result;

use super::run::traced;
use crate::bench::{
    Bench,
    load::Churn,
    table::{Column, Row, Table},
    tracer::Reports,
};

pub fn measure(bench: &mut Bench) -> Result<Table> {
    let cpus = thread::available_parallelism()?.get() as u64;
    let threads = cpus * 2;
    let churn = Churn::of(threads, bench.connections() * 2);
    let mut rows = Vec::new();
    for tracer in bench.tracers_that(|tracer| tracer.reports != Reports::Count) {
        let run = traced(bench, &tracer, churn);
        let Some(run) = bench.or_note(&tracer, run) else { continue };
        let reported = run.finished.reported;
        let values = vec![
            run.made.transitions.into(),
            reported.events.into(),
            reported.lost.into(),
            run.silent(tracer.reports).into(),
            reported.incomplete.into(),
            reported.wrong.into(),
        ];
        rows.push(Row { of: tracer.name.to_owned(), values });
    }
    let about = format!(
        "{threads} threads on {cpus} CPUs open connections as fast as possible. `made`: transitions. `reported`: transitions, or \
         two endpoints for each ten. `incomplete`: connections that the tracer marks as incomplete; `wrong`: \
         connections reported as complete with a wrong path."
    );
    Ok(Table { name: "overload", about, columns: columns(), rows })
}

/// The columns that compare what was reported with what the load made.
pub fn columns() -> Vec<Column> {
    vec![
        Column { key: "made", title: "made", digits: 0 },
        Column { key: "reported", title: "reported", digits: 0 },
        Column { key: "lost", title: "lost", digits: 0 },
        Column { key: "silent", title: "silent", digits: 0 },
        Column { key: "incomplete", title: "incomplete", digits: 0 },
        Column { key: "wrong", title: "wrong", digits: 0 },
    ]
}
