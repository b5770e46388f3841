//! bpftrace: a line per transition, and a bare count.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use super::{OutputDir, Ready, Reported, Reports, Tracer};

/// The usual one-liner: task on the CPU, both endpoints, both states.
const LINES: &str = r#"tracepoint:sock:inet_sock_set_state /args->protocol == 6/ {
    printf("%u %d %s %s:%d %s:%d %d %d\n", nsecs, pid, comm, ntop(args->saddr), args->sport,
        ntop(args->daddr), args->dport, args->oldstate, args->newstate);
}"#;

/// The smallest possible program.
const COUNT: &str = "tracepoint:sock:inet_sock_set_state { @transitions = count(); }";

/// Both modes; `libraries` is the library directory of an unpacked bpftrace.
pub fn both(program: PathBuf, libraries: Option<PathBuf>) -> [Tracer; 2] {
    let tracer = |name, reports, script: &str, count| Tracer {
        name,
        is_probe: false,
        reports,
        has_lines: reports != Reports::Count,
        ready: Ready::Idle,
        program: program.clone(),
        args: ["-e", script].map(Into::into).into(),
        libraries: libraries.clone(),
        count,
    };
    [
        tracer("bpftrace printf", Reports::Transitions, LINES, lines),
        tracer("bpftrace count", Reports::Count, COUNT, counted),
    ]
}

fn lines(_: &Tracer, dir: &OutputDir) -> Result<Reported> {
    Ok(reported(&fs::read_to_string(dir.out())?, &fs::read_to_string(dir.err())?))
}

/// Counts the lines that begin with a time. Losses appear on stdout or stderr as "Lost 12 events".
fn reported(out: &str, errors: &str) -> Reported {
    let events = out.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).count() as u64;
    let number = |line: &str| line.strip_prefix("Lost ")?.split(' ').next()?.parse::<u64>().ok();
    let lost = out.lines().chain(errors.lines()).filter_map(number).sum();
    Reported { events, lost, ..Reported::default() }
}

/// Reads the map printed at exit: "@transitions: 200002".
fn counted(_: &Tracer, dir: &OutputDir) -> Result<Reported> {
    let out = fs::read_to_string(dir.out())?;
    let count = out.lines().find_map(|line| line.strip_prefix("@transitions: ")?.trim().parse().ok());
    Ok(Reported { events: count.context("it printed no count")?, ..Reported::default() })
}

#[cfg(test)]
mod tests {
    use super::reported;
    use crate::bench::tracer::Reported;

    #[test]
    fn lines_and_losses_are_counted_separately() {
        let out = "Attaching 1 probe...\n81 7 curl 127.0.0.1:0 127.0.0.1:80 7 2\nLost 3 events\n82 7 curl ::1:0 ::1:80 7 2\n\n";
        assert_eq!(reported(out, "Lost 4 events\n"), Reported { events: 2, lost: 7, ..Reported::default() });
    }
}
