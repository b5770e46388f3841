//! bpftrace: a line for each transition, and a bare count.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use super::{Place, Ready, Tells, Told, Tracer};

/// What people write: who was on the CPU, both ends, both states.
const LINES: &str = r#"tracepoint:sock:inet_sock_set_state /args->protocol == 6/ {
    printf("%u %d %s %s:%d %s:%d %d %d\n", nsecs, pid, comm, ntop(args->saddr), args->sport,
        ntop(args->daddr), args->dport, args->oldstate, args->newstate);
}"#;

/// The least that a program can do.
const COUNT: &str = "tracepoint:sock:inet_sock_set_state { @transitions = count(); }";

/// Both, with the libraries in this directory if bpftrace was unpacked there.
pub fn both(program: PathBuf, libraries: Option<PathBuf>) -> [Tracer; 2] {
    let tracer = |name, tells, script: &str, count| Tracer {
        name,
        is_probe: false,
        tells,
        has_lines: tells != Tells::Count,
        ready: Ready::Settles,
        program: program.clone(),
        args: ["-e", script].map(Into::into).into(),
        libraries: libraries.clone(),
        count,
    };
    [
        tracer("bpftrace printf", Tells::Transitions, LINES, lines),
        tracer("bpftrace count", Tells::Count, COUNT, counted),
    ]
}

fn lines(_: &Tracer, place: &Place) -> Result<Told> {
    Ok(told(&fs::read_to_string(place.out())?, &fs::read_to_string(place.err())?))
}

/// Counts the lines that begin with a time; what was lost is said among them or beside them: "Lost 12 events".
fn told(out: &str, errors: &str) -> Told {
    let events = out.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).count() as u64;
    let number = |line: &str| line.strip_prefix("Lost ")?.split(' ').next()?.parse::<u64>().ok();
    let lost = out.lines().chain(errors.lines()).filter_map(number).sum();
    Told { events, lost, ..Told::default() }
}

/// Reads the map that is printed at the end: "@transitions: 200002".
fn counted(_: &Tracer, place: &Place) -> Result<Told> {
    let out = fs::read_to_string(place.out())?;
    let count = out.lines().find_map(|line| line.strip_prefix("@transitions: ")?.trim().parse().ok());
    Ok(Told { events: count.context("the count was not printed")?, ..Told::default() })
}

#[cfg(test)]
mod tests {
    use super::told;
    use crate::bench::tracer::Told;

    #[test]
    fn lines_and_losses_are_told_apart() {
        let out = "Attaching 1 probe...\n81 7 curl 127.0.0.1:0 127.0.0.1:80 7 2\nLost 3 events\n82 7 curl ::1:0 ::1:80 7 2\n\n";
        assert_eq!(told(out, "Lost 4 events\n"), Told { events: 2, lost: 7, ..Told::default() });
    }
}
