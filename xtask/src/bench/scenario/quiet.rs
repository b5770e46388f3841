//! An idle host: a tracer's CPU usage, and its latency for a single connection.

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
/// Number of single connections.
const CONNECTIONS: u64 = 20;
/// Time between them: not a multiple of any polling interval.
const APART: Duration = Duration::from_millis(97);
/// Maximum wait for a line.
const PATIENCE: Duration = Duration::from_secs(3);

const ABOUT: &str = "`idle`: the tracer's CPU time per second on an idle host, in microseconds, over three \
    seconds. `latency`: milliseconds from the start of a single short connection until the tracer's first line \
    about it is on its terminal (median of twenty, smallest–largest).";

pub fn measure(bench: &mut Bench) -> Result<Table> {
    let mut rows = Vec::new();
    for tracer in bench.tracers_that(|tracer| tracer.has_lines && tracer.name != "probe table") {
        let measured = idle_and_latency(bench, &tracer);
        let Some((idle, latency)) = bench.or_note(&tracer, measured) else { continue };
        let values = vec![idle.into(), Spread::of(latency).into()];
        rows.push(Row { of: tracer.name.to_owned(), values });
    }
    let columns = vec![
        Column { key: "idle_us_per_s", title: "idle µs/s", digits: 0 },
        Column { key: "latency_ms", title: "latency ms", digits: 1 },
    ];
    Ok(Table { name: "quiet", about: ABOUT.to_owned(), columns, rows })
}

/// Returns CPU time in microseconds per second, and the latencies in milliseconds.
fn idle_and_latency(bench: &mut Bench, tracer: &Tracer) -> Result<(f64, Vec<f64>)> {
    let (mut running, lines) = Running::start_on_terminal(tracer, bench.dir()?)?;
    running.drain()?;
    let (started, cpu) = (Instant::now(), running.process().cpu()?);
    thread::sleep(IDLE);
    let idle =
        running.process().cpu()?.saturating_sub(cpu).as_secs_f64() * 1e6 / started.elapsed().as_secs_f64();
    let mut latencies = Vec::new();
    for _ in 0..CONNECTIONS {
        lines.try_iter().for_each(drop);
        let begun_ns = bench.load()?.churn(Churn::of(1, 1))?.begun_ns;
        latencies.push(milliseconds(first_after(&lines, begun_ns)?));
        thread::sleep(APART);
    }
    Ok((idle, latencies))
}

/// Time from `begun_ns` to the first output after it.
fn first_after(lines: &Receiver<u64>, begun_ns: u64) -> Result<Duration> {
    loop {
        let written_ns =
            lines.recv_timeout(PATIENCE).context("the tracer printed nothing about the connection")?;
        if let Some(time) = written_ns.checked_sub(begun_ns) {
            return Ok(Duration::from_nanos(time));
        }
    }
}
