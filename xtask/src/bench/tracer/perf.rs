//! perf: every transition as bytes in a file, and a bare count.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use super::{Place, Ready, Tells, Told, Tracer};

const EVENT: &str = "sock:inet_sock_set_state";
const FILE: &str = "perf.data";

/// Both.
pub fn both(program: PathBuf) -> [Tracer; 2] {
    let tracer = |name, tells, args: &[&str], count| Tracer {
        name,
        is_probe: false,
        tells,
        has_lines: false,
        ready: Ready::Settles,
        program: program.clone(),
        args: args.iter().map(Into::into).collect(),
        libraries: None,
        count,
    };
    [
        tracer("perf record", Tells::Transitions, &["record", "-a", "-e", EVENT, "-o", FILE], samples),
        tracer("perf stat", Tells::Count, &["stat", "-a", "-x,", "-e", EVENT], counted),
    ]
}

/// Reads the sums of the recording.
fn samples(tracer: &Tracer, place: &Place) -> Result<Told> {
    let report = Command::new(&tracer.program)
        .args(["report", "--stats", "-i", FILE])
        .current_dir(&place.0)
        .output()?;
    let text = String::from_utf8_lossy(&report.stdout);
    // "SAMPLE events:     200008  (99.6%)"; those of this one event stand last, and the samples that it has lost
    // (Linux 6.0) are counted there alone.
    let sum = |name: &str| {
        let field = |line: &str| line.trim().strip_prefix(name)?.trim().split(' ').next()?.parse().ok();
        text.lines().filter_map(field).next_back()
    };
    Ok(Told {
        events: sum("SAMPLE events:").context("perf report gives no sum")?,
        lost: sum("LOST_SAMPLES events:").unwrap_or(0),
        ..Told::default()
    })
}

/// Reads the line that is printed at the end: the count is its first field.
fn counted(_: &Tracer, place: &Place) -> Result<Told> {
    let line = fs::read_to_string(place.err())?;
    let count =
        line.lines().find(|line| line.contains(EVENT)).and_then(|line| line.split(',').next()?.parse().ok());
    Ok(Told { events: count.context("the count was not printed")?, ..Told::default() })
}
