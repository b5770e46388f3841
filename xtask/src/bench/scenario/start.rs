//! From exec to readiness, on a host without sockets and on one with many that are there already.

use anyhow::Result;

use super::run::{megabytes, milliseconds};
use crate::bench::{
    Bench,
    process::Memory,
    spread::Spread,
    table::{Column, Row, Table, Value},
    tracer::{Running, Tells, Tracer},
};

const STARTS: usize = 3;

pub fn measure(bench: &mut Bench) -> Result<Table> {
    let tracers = bench.tracers_that(|tracer| tracer.tells != Tells::Count);
    // Two ends each.
    let sockets = bench.most_open() / 2 * 2;
    let mut rows: Vec<Row> =
        tracers.iter().map(|tracer| Row { of: tracer.name.to_owned(), values: Vec::new() }).collect();
    for sockets in [0, sockets] {
        bench.load()?.hold(sockets / 2)?;
        for (tracer, row) in tracers.iter().zip(&mut rows) {
            row.values.extend(starts(bench, tracer));
        }
        bench.load()?.release()?;
    }
    let about = format!(
        "Milliseconds from the start of the process until it is ready, {STARTS} times (median, smallest–largest), and its memory \
         then: on a host with hardly any sockets, and on one with {sockets} more in another network namespace. probe is ready \
         when it says so, which is when everything is attached and the sockets that there are have been listed; the others \
         when they have something attached and use no CPU any more."
    );
    let columns = vec![
        Column { key: "ready_ms", title: "ready ms", digits: 0 },
        Column { key: "rss_mb", title: "RSS MB", digits: 1 },
        Column { key: "ready_ms_with_sockets", title: "with sockets", digits: 0 },
        Column { key: "rss_mb_with_sockets", title: "RSS MB", digits: 1 },
    ];
    Ok(Table { name: "start", about, columns, rows })
}

/// The time, and the memory.
fn starts(bench: &mut Bench, tracer: &Tracer) -> [Value; 2] {
    let (mut times, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let started = bench.place().and_then(|place| {
            let running = Running::start(tracer, place)?;
            Ok((running.to_ready, running.process().memory(Memory::Most)?))
        });
        let Some((time, most)) = bench.noted(tracer, started) else { break };
        times.push(milliseconds(time));
        memory.push(megabytes(most));
    }
    [Spread::of(times).into(), Spread::of(memory).map(|spread| spread.median).into()]
}
