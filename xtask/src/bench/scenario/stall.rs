//! A stopped reader: what its ring buffer cannot hold is lost and must be reported as such.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::{
    overload,
    run::{milliseconds, silent},
};
use crate::bench::{
    Bench,
    load::{Churn, Completed, Limit},
    table::{Column, Row, Table, Value},
    tracer::{Finished, Reports, Running, Tracer},
};

const STALL: Duration = Duration::from_secs(4);
/// How probe reports a loss.
const LOST: &str = r#""type":"lost""#;
/// Maximum wait for that.
const PATIENCE: Duration = Duration::from_secs(5);

const ABOUT: &str = "The tracer is stopped (SIGSTOP) for four seconds while one thread opens connections, then continues \
    (SIGCONT). Columns as in `overload`; `reported after`: milliseconds from SIGCONT until the loss appears in the output.";

pub fn measure(bench: &mut Bench) -> Result<Table> {
    let mut rows = Vec::new();
    for tracer in
        bench.tracers_that(|tracer| tracer.reports != Reports::Count && tracer.name != "probe table")
    {
        let stalled = stalled(bench, &tracer);
        let Some((made, reported_after, finished)) = bench.or_note(&tracer, stalled) else { continue };
        let reported = finished.reported;
        let values = vec![
            made.transitions.into(),
            reported.events.into(),
            reported.lost.into(),
            silent(tracer.reports, made, &finished).into(),
            reported.incomplete.into(),
            reported.wrong.into(),
            reported_after
                .filter(|_| reported.lost > 0)
                .map_or(Value::Absent, |time| milliseconds(time).into()),
        ];
        rows.push(Row { of: tracer.name.to_owned(), values });
    }
    let mut columns = overload::columns();
    columns.push(Column { key: "reported_after_ms", title: "reported after ms", digits: 0 });
    Ok(Table { name: "stall", about: ABOUT.to_owned(), columns, rows })
}

fn stalled(bench: &mut Bench, tracer: &Tracer) -> Result<(Completed, Option<Duration>, Finished)> {
    let mut running = Running::start(tracer, bench.dir()?)?;
    running.signal(Signal::SIGSTOP)?;
    let made = bench.load()?.churn(Churn { until: Limit::Time(STALL), ..Churn::of(1, 0) })?;
    let written = running.written()?;
    running.signal(Signal::SIGCONT)?;
    let reported_after =
        tracer.is_probe.then(|| running.wait_for_output(LOST, written, PATIENCE).ok()).flatten();
    running.drain()?;
    Ok((made, reported_after, running.stop()?))
}
