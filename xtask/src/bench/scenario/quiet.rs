//! A host on which nothing happens: what a tracer uses there, and how soon it tells of the one thing that does.

use std::{
    sync::mpsc::Receiver,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::run::milliseconds;
use crate::bench::{
    Bench,
    load::Churn,
    spread::Spread,
    table::{Column, Row, Table},
    tracer::{Running, Tracer},
};

const IDLE: Duration = Duration::from_secs(3);
/// How often a connection comes alone.
const CONNECTIONS: u64 = 20;
/// How long after the one before: never a multiple of the interval at which a reader may look.
const APART: Duration = Duration::from_millis(97);
/// How long a line may take.
const PATIENCE: Duration = Duration::from_secs(3);

const ABOUT: &str = "`idle`: CPU time in each second of which a tracer uses up when nothing happens, in microseconds, over three \
    seconds. `latency`: milliseconds from the start of a connection that comes alone and ends at once until the tracer's first line \
    about it is on its terminal (median of twenty, smallest–largest).";

pub fn measure(bench: &mut Bench) -> Result<Table> {
    let mut rows = Vec::new();
    for tracer in bench.tracers_that(|tracer| tracer.has_lines && tracer.name != "probe table") {
        let measured = alone(bench, &tracer);
        let Some((idle, latency)) = bench.noted(&tracer, measured) else { continue };
        let values = vec![idle.into(), Spread::of(latency).into()];
        rows.push(Row { of: tracer.name.to_owned(), values });
    }
    let columns = vec![
        Column { key: "idle_us_per_s", title: "idle µs/s", digits: 0 },
        Column { key: "latency_ms", title: "latency ms", digits: 1 },
    ];
    Ok(Table { name: "quiet", about: ABOUT.to_owned(), columns, rows })
}

/// Gives CPU time in microseconds a second, and the latencies in milliseconds.
fn alone(bench: &mut Bench, tracer: &Tracer) -> Result<(f64, Vec<f64>)> {
    let (mut running, lines) = Running::start_on_terminal(tracer, bench.place()?)?;
    running.rests()?;
    let (begun, cpu) = (Instant::now(), running.process().cpu()?);
    thread::sleep(IDLE);
    let idle =
        running.process().cpu()?.saturating_sub(cpu).as_secs_f64() * 1e6 / begun.elapsed().as_secs_f64();
    let mut latencies = Vec::new();
    for _ in 0..CONNECTIONS {
        lines.try_iter().for_each(drop);
        let begun_ns = bench.load()?.churn(Churn::of(1, 1))?.begun_ns;
        latencies.push(milliseconds(first_after(&lines, begun_ns)?));
        thread::sleep(APART);
    }
    Ok((idle, latencies))
}

/// From then until something is written.
fn first_after(lines: &Receiver<u64>, begun_ns: u64) -> Result<Duration> {
    loop {
        let written_ns = lines.recv_timeout(PATIENCE).context("nothing was written about a connection")?;
        if let Some(time) = written_ns.checked_sub(begun_ns) {
            return Ok(Duration::from_nanos(time));
        }
    }
}
