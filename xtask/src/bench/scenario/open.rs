//! Connections that are open at the same time: what a tracer keeps of each, and whether it tells all their ends.

use anyhow::Result;

use super::run::{kernel_ns, megabytes, per_million, programs, silent};
use crate::bench::{
    Bench,
    load::{Churn, Done},
    process::Memory,
    statistics::Statistics,
    table::{Column, Row, Table},
    tracer::{Running, Tracer},
};

const FEW: [u64; 2] = [10, 1_000];

const ABOUT: &str = "So many connections are opened beside a tracer that runs, then others are opened and closed while \
    those stay open, then all are closed. `kernel` and `reader`: as in `throughput`, for the ones that come and go, with \
    the kernel's statistics on. `RSS`: the tracer's memory before, and while all are open; `bytes`: what one connection \
    (of two ends, both on this host) adds to it. The rest: as in `overload`.";

pub fn measure(bench: &mut Bench) -> Result<Table> {
    let _on = Statistics::on()?;
    let mut rows = Vec::new();
    for tracer in
        bench.tracers_that(|tracer| ["probe json", "probe connections", "tcplife"].contains(&tracer.name))
    {
        let most = bench.most_open();
        for open in FEW.into_iter().filter(|few| *few < most).chain([most]) {
            let row = beside(bench, &tracer, open);
            if row.is_err() {
                bench.end_load();
            }
            rows.extend(bench.noted(&tracer, row));
        }
    }
    let columns = vec![
        Column { key: "kernel_ns_per_transition", title: "kernel ns", digits: 0 },
        Column { key: "reader_s_per_million", title: "reader s/M", digits: 2 },
        Column { key: "rss_before_mb", title: "RSS MB", digits: 1 },
        Column { key: "rss_mb", title: "with them", digits: 1 },
        Column { key: "bytes_per_connection", title: "bytes", digits: 0 },
        Column { key: "told", title: "told", digits: 0 },
        Column { key: "lost", title: "lost", digits: 0 },
        Column { key: "silent", title: "silent", digits: 0 },
        Column { key: "incomplete", title: "incomplete", digits: 0 },
        Column { key: "wrong", title: "wrong", digits: 0 },
    ];
    Ok(Table { name: "open", about: ABOUT.to_owned(), columns, rows })
}

fn beside(bench: &mut Bench, tracer: &Tracer, open: u64) -> Result<Row> {
    let mut running = Running::start(tracer, bench.place()?)?;
    let memory_before = running.process().memory(Memory::Now)?;
    let opened = bench.load()?.hold(open)?;
    running.rests()?;
    let memory = running.process().memory(Memory::Now)?;
    let (cpu, before) = (running.process().cpu()?, programs(&running));
    let churn = Churn::of(1, bench.connections());
    let churned = bench.load()?.churn(churn)?;
    running.rests()?;
    let cpu = running.process().cpu()?.saturating_sub(cpu);
    let kernel = kernel_ns(&before, &programs(&running));
    let closed = bench.load()?.release()?;
    running.rests()?;
    let stopped = running.stop()?;
    let transitions = opened.transitions + churned.transitions + closed.transitions;
    let made = Done { connections: open + churned.connections, transitions, ..churned };
    let told = stopped.told;
    Ok(Row {
        of: format!("{}, {open} open", tracer.name),
        values: vec![
            kernel.into(),
            per_million(cpu, churned).into(),
            megabytes(memory_before).into(),
            megabytes(memory).into(),
            (memory.saturating_sub(memory_before) as f64 / open as f64).into(),
            told.events.into(),
            told.lost.into(),
            silent(tracer.tells, made, &stopped).into(),
            told.incomplete.into(),
            told.wrong.into(),
        ],
    })
}
