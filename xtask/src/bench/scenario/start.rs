//! Time from exec to ready, on a host with few sockets and on one with many.

use anyhow::Result;

use super::run::{megabytes, milliseconds};
use crate::bench::{
    Bench,
    process::Memory,
    spread::Spread,
    table::{Column, Row, Table, Value},
    tracer::{Reports, Running, Tracer},
};

const STARTS: usize = 3;

pub fn measure(bench: &mut Bench) -> Result<Table> {
    let tracers = bench.tracers_that(|tracer| tracer.reports != Reports::Count);
    // Two sockets per connection.
    let sockets = bench.max_open() / 2 * 2;
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
        "Milliseconds from exec until ready, {STARTS} starts (median, smallest–largest), and the memory used by \
         then: on a host with few sockets, and on one with {sockets} more in another network namespace. probe is ready \
         when it says so: all programs are attached and the existing sockets listed. The others are ready \
         when they have attached something and use no more CPU."
    );
    let columns = vec![
        Column { key: "ready_ms", title: "ready ms", digits: 0 },
        Column { key: "rss_mb", title: "RSS MB", digits: 1 },
        Column { key: "ready_ms_with_sockets", title: "with sockets", digits: 0 },
        Column { key: "rss_mb_with_sockets", title: "RSS MB", digits: 1 },
    ];
    Ok(Table { name: "start", about, columns, rows })
}

/// Time to ready, and memory.
fn starts(bench: &mut Bench, tracer: &Tracer) -> [Value; 2] {
    let (mut times, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let started = bench.dir().and_then(|dir| {
            let running = Running::start(tracer, dir)?;
            Ok((running.to_ready, running.process().memory(Memory::Most)?))
        });
        let Some((time, most)) = bench.or_note(tracer, started) else { break };
        times.push(milliseconds(time));
        memory.push(megabytes(most));
    }
    [Spread::of(times).into(), Spread::of(memory).map(|spread| spread.median).into()]
}
