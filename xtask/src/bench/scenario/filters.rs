//! How the cost of probe's filters grows with their number of entries.

use anyhow::Result;

use super::run::{interleaved, milliseconds, traced};
use crate::bench::{
    Bench,
    load::Churn,
    statistics::Statistics,
    table::{Column, Row, Table},
    tracer::Tracer,
};

const ENTRIES: [u32; 3] = [1, 100, 10_000];
/// Networks per flag: the length of an argument is limited (MAX_ARG_STRLEN).
const A_FLAG: usize = 1_000;

const ABOUT: &str = "probe's JSON stream with filters of 1 to 10,000 entries: ports that the load does not use; networks \
    that it does not use; and networks including 127.0.0.0/8, so that everything matches. One thread. Columns as in \
    `throughput`; `ready`: milliseconds until probe is ready.";

pub fn measure(bench: &mut Bench) -> Result<Table> {
    let Some(json) = bench.tracers_that(|tracer| tracer.name == "probe json").pop() else {
        anyhow::bail!("this scenario measures probe's JSON stream, which --only excludes");
    };
    let mut cases = vec![("no filter".to_owned(), json.clone())];
    for entries in ENTRIES {
        let others = networks(entries);
        let matching = networks(entries - 1).chain(["127.0.0.0/8".to_owned()]);
        cases.push((format!("ports: {entries}, no match"), json.with(["--port".to_owned(), ports(entries)])));
        cases.push((format!("networks: {entries}, no match"), json.with(flags(others))));
        cases.push((format!("networks: {entries}, all match"), json.with(flags(matching))));
    }
    let churn = Churn::of(1, bench.connections());
    let (names, tracers): (Vec<String>, Vec<Tracer>) = cases.into_iter().unzip();
    let mut rows = Vec::new();
    interleaved(bench, &tracers, churn, |at, run, kept| {
        let values = vec![
            kept.into(),
            milliseconds(run.to_ready).into(),
            run.cpu().into(),
            run.finished.reported.events.into(),
        ];
        rows.push((at, Row { of: names[at].clone(), values }));
    })?;
    let statistics = bench.or_note_as("kernel time", Statistics::enable());
    for (at, row) in &mut rows {
        let run = statistics.as_ref().map(|_| traced(bench, &tracers[*at], churn));
        let run = run.and_then(|run| bench.or_note(&tracers[*at], run));
        row.values.push(run.and_then(|run| run.kernel_ns).into());
    }
    let rows = rows.into_iter().map(|(_, row)| row).collect();
    let columns = vec![
        Column { key: "kept_t1", title: "kept T1", digits: 2 },
        Column { key: "ready_ms", title: "ready ms", digits: 0 },
        Column { key: "reader_s_per_million", title: "reader s/M", digits: 2 },
        Column { key: "reported", title: "reported", digits: 0 },
        Column { key: "kernel_ns_per_transition", title: "kernel ns", digits: 0 },
    ];
    Ok(Table { name: "filters", about: ABOUT.to_owned(), columns, rows })
}

/// Ports below the load's ephemeral range, one entry each.
fn ports(entries: u32) -> String {
    (1..=entries).map(|port| port.to_string()).collect::<Vec<_>>().join(",")
}

/// Networks that the load does not use.
fn networks(entries: u32) -> impl Iterator<Item = String> {
    (0..entries).map(|entry| format!("10.{}.{}.{}/32", entry >> 16, entry >> 8 & 0xff, entry & 0xff))
}

/// The networks as --addr arguments.
fn flags(networks: impl Iterator<Item = String>) -> Vec<String> {
    let networks: Vec<String> = networks.collect();
    networks.chunks(A_FLAG).flat_map(|part| ["--addr".to_owned(), part.join(",")]).collect()
}
