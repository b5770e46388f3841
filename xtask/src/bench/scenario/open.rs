//! Many concurrently open connections: a tracer's memory per connection, and whether it reports every close.

use anyhow::Result;

use super::run::{kernel_ns, megabytes, per_million, programs, silent};
use crate::bench::{
    Bench,
    load::{Churn, Completed},
    process::Memory,
    statistics::Statistics,
    table::{Column, Row, Table},
    tracer::{Running, Tracer},
};

const FEW: [u64; 2] = [10, 1_000];

const ABOUT: &str = "Connections are opened while the tracer runs, then others are opened and closed while \
    these stay open, then all are closed. `kernel` and `reader`: as in `throughput`, for the short-lived ones, with \
    BPF statistics enabled. `RSS`: the tracer's memory before, and with all open; `bytes`: memory per connection \
    (both endpoints are on this host). Other columns as in `overload`.";

pub fn measure(bench: &mut Bench) -> Result<Table> {
    let _on = Statistics::enable()?;
    let mut rows = Vec::new();
    for tracer in
        bench.tracers_that(|tracer| ["probe json", "probe connections", "tcplife"].contains(&tracer.name))
    {
        let most = bench.max_open();
        for open in FEW.into_iter().filter(|few| *few < most).chain([most]) {
            let row = with_open(bench, &tracer, open);
            if row.is_err() {
                bench.end_load();
            }
            rows.extend(bench.or_note(&tracer, row));
        }
    }
    let columns = vec![
        Column { key: "kernel_ns_per_transition", title: "kernel ns", digits: 0 },
        Column { key: "reader_s_per_million", title: "reader s/M", digits: 2 },
        Column { key: "rss_before_mb", title: "RSS MB", digits: 1 },
        Column { key: "rss_mb", title: "RSS MB, all open", digits: 1 },
        Column { key: "bytes_per_connection", title: "bytes", digits: 0 },
        Column { key: "reported", title: "reported", digits: 0 },
        Column { key: "lost", title: "lost", digits: 0 },
        Column { key: "silent", title: "silent", digits: 0 },
        Column { key: "incomplete", title: "incomplete", digits: 0 },
        Column { key: "wrong", title: "wrong", digits: 0 },
    ];
    Ok(Table { name: "open", about: ABOUT.to_owned(), columns, rows })
}

fn with_open(bench: &mut Bench, tracer: &Tracer, open: u64) -> Result<Row> {
    let mut running = Running::start(tracer, bench.dir()?)?;
    let memory_before = running.process().memory(Memory::Now)?;
    let opened = bench.load()?.hold(open)?;
    running.drain()?;
    let memory = running.process().memory(Memory::Now)?;
    let (cpu, before) = (running.process().cpu()?, programs(&running));
    let churn = Churn::of(1, bench.connections());
    let churned = bench.load()?.churn(churn)?;
    running.drain()?;
    let cpu = running.process().cpu()?.saturating_sub(cpu);
    let kernel = kernel_ns(&before, &programs(&running));
    let closed = bench.load()?.release()?;
    running.drain()?;
    let finished = running.stop()?;
    let transitions = opened.transitions + churned.transitions + closed.transitions;
    let made = Completed { connections: open + churned.connections, transitions, ..churned };
    let reported = finished.reported;
    Ok(Row {
        of: format!("{}, {open} open", tracer.name),
        values: vec![
            kernel.into(),
            per_million(cpu, churned).into(),
            megabytes(memory_before).into(),
            megabytes(memory).into(),
            (memory.saturating_sub(memory_before) as f64 / open as f64).into(),
            reported.events.into(),
            reported.lost.into(),
            silent(tracer.reports, made, &finished).into(),
            reported.incomplete.into(),
            reported.wrong.into(),
        ],
    })
}
