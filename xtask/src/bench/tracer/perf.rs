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

fn samples(tracer: &Tracer, place: &Place) -> Result<Told> {
    let report = Command::new(&tracer.program)
        .args(["report", "--stats", "-i", FILE])
        .current_dir(&place.0)
        .output()?;
    sums(&String::from_utf8_lossy(&report.stdout)).context("perf report gives no sums")
}

/// Reads the sums of a recording. Those of the one event stand last, and what was lost of it (told by Linux 6.0 and
/// later) is counted in samples there alone.
fn sums(report: &str) -> Option<Told> {
    let sum = |name: &str| {
        let number = |line: &str| line.trim().strip_prefix(name)?.trim().split(' ').next()?.parse().ok();
        report.lines().filter_map(number).next_back()
    };
    let lost = sum("LOST_SAMPLES events:").unwrap_or(0);
    Some(Told { events: sum("SAMPLE events:")?, lost, ..Told::default() })
}

fn counted(_: &Tracer, place: &Place) -> Result<Told> {
    let events = count(&fs::read_to_string(place.err())?).context("the count was not printed")?;
    Ok(Told { events, ..Told::default() })
}

/// The count is the first field of the line that is printed at the end.
fn count(errors: &str) -> Option<u64> {
    errors.lines().find(|line| line.contains(EVENT))?.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_counted_in_samples() {
        let report = "Aggregated stats:\n   LOST events:         45  ( 0.0%)\n   SAMPLE events:     416302  (94.4%)\n\
             LOST_SAMPLES events:          1  ( 0.0%)\nsock:inet_sock_set_state stats:\n   SAMPLE events:     416302\n\
             LOST_SAMPLES events:     183823\n";
        let told = Told { events: 416_302, lost: 183_823, ..Told::default() };
        assert_eq!(sums(report), Some(told));
        assert_eq!(sums("   SAMPLE events:  7 (100.0%)\n"), Some(Told { events: 7, ..Told::default() }));
        assert_eq!(sums(""), None);
    }

    #[test]
    fn a_count_is_read_from_its_line() {
        assert_eq!(count("\n200002,,sock:inet_sock_set_state,1006936118,100.00,,\n"), Some(200_002));
        assert_eq!(count("<not counted>,,sock:inet_sock_set_state,0,100.00,,\n"), None);
    }
}
