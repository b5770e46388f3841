//! perf: every transition in a perf.data file, and a bare count.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use super::{OutputDir, Ready, Reported, Reports, Tracer};

const EVENT: &str = "sock:inet_sock_set_state";
const FILE: &str = "perf.data";

/// Both modes.
pub fn both(program: PathBuf) -> [Tracer; 2] {
    let tracer = |name, reports, args: &[&str], count| Tracer {
        name,
        is_probe: false,
        reports,
        has_lines: false,
        ready: Ready::Idle,
        program: program.clone(),
        args: args.iter().map(Into::into).collect(),
        libraries: None,
        count,
    };
    [
        tracer("perf record", Reports::Transitions, &["record", "-a", "-e", EVENT, "-o", FILE], samples),
        tracer("perf stat", Reports::Count, &["stat", "-a", "-x,", "-e", EVENT], counted),
    ]
}

fn samples(tracer: &Tracer, dir: &OutputDir) -> Result<Reported> {
    let report =
        Command::new(&tracer.program).args(["report", "--stats", "-i", FILE]).current_dir(&dir.0).output()?;
    sums(&String::from_utf8_lossy(&report.stdout)).context("perf report printed no totals")
}

/// Reads the totals of a perf.data file. Those of the event come last; its lost samples (reported since Linux 6.0)
/// are counted there only.
fn sums(report: &str) -> Option<Reported> {
    let sum = |name: &str| {
        let number = |line: &str| line.trim().strip_prefix(name)?.trim().split(' ').next()?.parse().ok();
        report.lines().filter_map(number).next_back()
    };
    let lost = sum("LOST_SAMPLES events:").unwrap_or(0);
    Some(Reported { events: sum("SAMPLE events:")?, lost, ..Reported::default() })
}

fn counted(_: &Tracer, dir: &OutputDir) -> Result<Reported> {
    let events = count(&fs::read_to_string(dir.err())?).context("it printed no count")?;
    Ok(Reported { events, ..Reported::default() })
}

/// The count is the first field of the line that perf prints at exit.
fn count(errors: &str) -> Option<u64> {
    errors.lines().find(|line| line.contains(EVENT))?.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_counted_in_samples() {
        let report = "Aggregated stats:\n   LOST events:         45  ( 0.0%)\n   SAMPLE events:     416302  (94.4%)\n\
             LOST_SAMPLES events:          1  ( 0.0%)\nsock:inet_sock_set_state stats:\n   SAMPLE events:     416302\n\
             LOST_SAMPLES events:     183823\n";
        let reported = Reported { events: 416_302, lost: 183_823, ..Reported::default() };
        assert_eq!(sums(report), Some(reported));
        assert_eq!(
            sums("   SAMPLE events:  7 (100.0%)\n"),
            Some(Reported { events: 7, ..Reported::default() })
        );
        assert_eq!(sums(""), None);
    }

    #[test]
    fn a_count_is_read_from_its_line() {
        assert_eq!(count("\n200002,,sock:inet_sock_set_state,1006936118,100.00,,\n"), Some(200_002));
        assert_eq!(count("<not counted>,,sock:inet_sock_set_state,0,100.00,,\n"), None);
    }
}
