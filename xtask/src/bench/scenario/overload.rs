//! More threads than CPUs: the reader has to share them, and what it does not read in time is lost.

use std::thread;

use anyhow::Result;

use super::run::traced;
use crate::bench::{
    Bench,
    load::Churn,
    table::{Column, Row, Table},
    tracer::Tells,
};

pub fn measure(bench: &mut Bench) -> Result<Table> {
    let cpus = thread::available_parallelism()?.get() as u64;
    let threads = cpus * 2;
    let churn = Churn::of(threads, bench.connections() * 2);
    let mut rows = Vec::new();
    for tracer in bench.tracers_that(|tracer| tracer.tells != Tells::Count) {
        let run = traced(bench, &tracer, churn);
        let Some(run) = bench.noted(&tracer, run) else { continue };
        let told = run.stopped.told;
        let values = vec![
            run.made.transitions.into(),
            told.events.into(),
            told.lost.into(),
            run.silent(tracer.tells).into(),
            told.incomplete.into(),
            told.wrong.into(),
        ];
        rows.push(Row { of: tracer.name.to_owned(), values });
    }
    let about = format!(
        "{threads} threads on {cpus} CPUs make connections as fast as they can. `made`: transitions. `told`: of these, or of \
         the two ends of each ten. `incomplete`: connections that the tracer itself says it has not seen all of; `wrong`: \
         such as took another course than the one that it tells."
    );
    Ok(Table { name: "overload", about, columns: columns(), rows })
}

/// What was told of what was made.
pub fn columns() -> Vec<Column> {
    vec![
        Column { key: "made", title: "made", digits: 0 },
        Column { key: "told", title: "told", digits: 0 },
        Column { key: "lost", title: "lost", digits: 0 },
        Column { key: "silent", title: "silent", digits: 0 },
        Column { key: "incomplete", title: "incomplete", digits: 0 },
        Column { key: "wrong", title: "wrong", digits: 0 },
    ]
}
