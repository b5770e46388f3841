//! How probe's filters cost with their number of entries.

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
/// How many networks a flag names: an argument's length is limited (MAX_ARG_STRLEN).
const A_FLAG: usize = 1_000;

const ABOUT: &str = "probe's JSON stream with filters of so many entries: ports, none of which the load uses; networks, \
    none of which it uses; and networks with 127.0.0.0/8 among them, so that everything is meant. One thread. Columns as in \
    `throughput`; `ready`: milliseconds until it is ready.";

pub fn measure(bench: &mut Bench) -> Result<Table> {
    let Some(json) = bench.tracers_that(|tracer| tracer.name == "probe json").pop() else {
        anyhow::bail!("it is probe's JSON stream that is measured here, which `--only` leaves out");
    };
    let mut cases = vec![("no filter".to_owned(), json.clone())];
    for entries in ENTRIES {
        let others = networks(entries);
        let meant = networks(entries - 1).chain(["127.0.0.0/8".to_owned()]);
        cases.push((
            format!("ports: {entries}, none meant"),
            json.with(["--port".to_owned(), ports(entries)]),
        ));
        cases.push((format!("networks: {entries}, none meant"), json.with(flags(others))));
        cases.push((format!("networks: {entries}, all meant"), json.with(flags(meant))));
    }
    let churn = Churn::of(1, bench.connections());
    let (names, tracers): (Vec<String>, Vec<Tracer>) = cases.into_iter().unzip();
    let mut rows = Vec::new();
    interleaved(bench, &tracers, churn, |at, run, kept| {
        let values = vec![
            kept.into(),
            milliseconds(run.to_ready).into(),
            run.cpu().into(),
            run.stopped.told.events.into(),
        ];
        rows.push((at, Row { of: names[at].clone(), values }));
    })?;
    let statistics = bench.noted_as("kernel time", Statistics::on());
    for (at, row) in &mut rows {
        let run = statistics.as_ref().map(|_| traced(bench, &tracers[*at], churn));
        let run = run.and_then(|run| bench.noted(&tracers[*at], run));
        row.values.push(run.and_then(|run| run.kernel_ns).into());
    }
    let rows = rows.into_iter().map(|(_, row)| row).collect();
    let columns = vec![
        Column { key: "kept_t1", title: "kept T1", digits: 2 },
        Column { key: "ready_ms", title: "ready ms", digits: 0 },
        Column { key: "reader_s_per_million", title: "reader s/M", digits: 2 },
        Column { key: "told", title: "told", digits: 0 },
        Column { key: "kernel_ns_per_transition", title: "kernel ns", digits: 0 },
    ];
    Ok(Table { name: "filters", about: ABOUT.to_owned(), columns, rows })
}

/// Ports below those that the load's kernel gives out, each an entry.
fn ports(entries: u32) -> String {
    (1..=entries).map(|port| port.to_string()).collect::<Vec<_>>().join(",")
}

/// So many networks that nobody uses here.
fn networks(entries: u32) -> impl Iterator<Item = String> {
    (0..entries).map(|entry| format!("10.{}.{}.{}/32", entry >> 16, entry >> 8 & 0xff, entry & 0xff))
}

/// As arguments.
fn flags(networks: impl Iterator<Item = String>) -> Vec<String> {
    let networks: Vec<String> = networks.collect();
    networks.chunks(A_FLAG).flat_map(|part| ["--addr".to_owned(), part.join(",")]).collect()
}
