//! How a reader's CPU time grows with the load, up to the maximum rate of this machine.

use std::time::Duration;

use anyhow::Result;

use super::run::traced;
use crate::bench::{
    Bench,
    load::{Churn, Limit},
    table::{Column, Row, Table},
};

const TIME: Duration = Duration::from_secs(2);
/// Connections per second; the last is one thread's maximum.
const RATES: [Option<u64>; 4] = [Some(100), Some(1_000), Some(10_000), None];

const ABOUT: &str = "Connections at a fixed rate for two seconds, and finally as fast as one thread can open them. \
    `made`: transitions per second. `reader`: the tracer's CPU usage in percent of one CPU. Other columns as in \
    `throughput`.";

pub fn measure(bench: &mut Bench) -> Result<Table> {
    let mut rows = Vec::new();
    for tracer in
        bench.tracers_that(|tracer| ["probe json", "probe connections", "tcpstates"].contains(&tracer.name))
    {
        for rate in RATES {
            let run = traced(bench, &tracer, Churn { rate, until: Limit::Time(TIME), ..Churn::of(1, 0) });
            let Some(run) = bench.or_note(&tracer, run) else { continue };
            let pace = rate.map_or("maximum rate".to_owned(), |rate| format!("{rate}/s"));
            let values = vec![
                (run.made.transitions as f64 / run.made.seconds).into(),
                (run.finished.cpu.as_secs_f64() * 100.0 / run.made.seconds).into(),
                run.cpu().into(),
                run.finished.reported.lost.into(),
                run.silent(tracer.reports).into(),
            ];
            rows.push(Row { of: format!("{}, {pace}", tracer.name), values });
        }
    }
    let columns = vec![
        Column { key: "transitions_per_s", title: "made/s", digits: 0 },
        Column { key: "reader_percent", title: "reader %", digits: 1 },
        Column { key: "reader_s_per_million", title: "reader s/M", digits: 2 },
        Column { key: "lost", title: "lost", digits: 0 },
        Column { key: "silent", title: "silent", digits: 0 },
    ];
    Ok(Table { name: "pace", about: ABOUT.to_owned(), columns, rows })
}
