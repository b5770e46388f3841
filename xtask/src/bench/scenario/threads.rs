//! How the kernel-side cost scales with CPUs that share ring buffers, maps and locks.

use anyhow::Result;

use super::run::traced;
use crate::bench::{
    Bench,
    load::Churn,
    statistics::Statistics,
    table::{Column, Row, Table, Value},
};

/// Tracers with BPF programs of each kind: one shared ring buffer, one per CPU, none.
const MEASURED: [&str; 7] = [
    "probe json",
    "probe connections",
    "tcpstates",
    "tcplife",
    "bpftrace printf",
    "bpftrace count",
    "bare counter",
];

const THREADS: [u64; 3] = [1, 2, 4];

const ABOUT: &str = "Time in a tracer's BPF programs per transition, in nanoseconds, while one, two and four \
    threads open connections. The increase with more threads, up to the number of CPUs, is contention for a lock \
    or a cache line.";

pub fn measure(bench: &mut Bench) -> Result<Table> {
    let _on = Statistics::enable()?;
    let mut rows = Vec::new();
    for tracer in bench.tracers_that(|tracer| MEASURED.contains(&tracer.name)) {
        let mut values: Vec<Value> = Vec::new();
        for threads in THREADS {
            let run = traced(bench, &tracer, Churn::of(threads, bench.connections()));
            values.push(bench.or_note(&tracer, run).and_then(|run| run.kernel_ns).into());
        }
        if values.iter().any(|value| *value != Value::Absent) {
            rows.push(Row { of: tracer.name.to_owned(), values });
        }
    }
    let columns = vec![
        Column { key: "kernel_ns_t1", title: "T1", digits: 0 },
        Column { key: "kernel_ns_t2", title: "T2", digits: 0 },
        Column { key: "kernel_ns_t4", title: "T4", digits: 0 },
    ];
    Ok(Table { name: "threads", about: ABOUT.to_owned(), columns, rows })
}
