//! A reader that is stopped for a while: what its ring cannot take is lost, and has to be told.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::{
    overload,
    run::{milliseconds, silent},
};
use crate::bench::{
    Bench,
    load::{Churn, Done, Until},
    table::{Column, Row, Table, Value},
    tracer::{Running, Stopped, Tells, Tracer},
};

const STALL: Duration = Duration::from_secs(4);
/// How probe tells a loss.
const LOST: &str = r#""type":"lost""#;
/// How long it may take for that.
const PATIENCE: Duration = Duration::from_secs(5);

const ABOUT: &str = "The tracer is stopped (SIGSTOP) for four seconds, while one thread makes connections, and goes on \
    (SIGCONT). Columns as in `overload`; `told after`: milliseconds from SIGCONT until the loss stands in the output.";

pub fn measure(bench: &mut Bench) -> Result<Table> {
    let mut rows = Vec::new();
    for tracer in bench.tracers_that(|tracer| tracer.tells != Tells::Count && tracer.name != "probe table") {
        let stalled = stalled(bench, &tracer);
        let Some((made, told_after, stopped)) = bench.noted(&tracer, stalled) else { continue };
        let told = stopped.told;
        let values = vec![
            made.transitions.into(),
            told.events.into(),
            told.lost.into(),
            silent(tracer.tells, made, &stopped).into(),
            told.incomplete.into(),
            told.wrong.into(),
            told_after.filter(|_| told.lost > 0).map_or(Value::Absent, |time| milliseconds(time).into()),
        ];
        rows.push(Row { of: tracer.name.to_owned(), values });
    }
    let mut columns = overload::columns();
    columns.push(Column { key: "told_after_ms", title: "told after ms", digits: 0 });
    Ok(Table { name: "stall", about: ABOUT.to_owned(), columns, rows })
}

fn stalled(bench: &mut Bench, tracer: &Tracer) -> Result<(Done, Option<Duration>, Stopped)> {
    let mut running = Running::start(tracer, bench.place()?)?;
    running.signal(Signal::SIGSTOP)?;
    let made = bench.load()?.churn(Churn { until: Until::Time(STALL), ..Churn::of(1, 0) })?;
    let written = running.written()?;
    running.signal(Signal::SIGCONT)?;
    let told_after = tracer.is_probe.then(|| running.says(LOST, written, PATIENCE).ok()).flatten();
    running.rests()?;
    Ok((made, told_after, running.stop()?))
}
