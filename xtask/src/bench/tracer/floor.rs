//! The floor: a BPF program that only counts ([`floor`](crate::bench::floor)).

use std::{env, fs};

use anyhow::{Context as _, Result};

use super::{OutputDir, Ready, Reported, Reports, Tracer};
use crate::bench::floor::{CHORE, COUNT, READY};

/// The counter, a subcommand of this program.
///
/// # Errors
/// The path of this program cannot be determined.
pub fn counter() -> Result<Tracer> {
    Ok(Tracer {
        name: "bare counter",
        is_probe: false,
        reports: Reports::Count,
        has_lines: false,
        ready: Ready::Prints(READY),
        program: env::current_exe()?,
        args: vec![CHORE.into()],
        libraries: None,
        count: counted,
    })
}

fn counted(_: &Tracer, dir: &OutputDir) -> Result<Reported> {
    let out = fs::read_to_string(dir.out())?;
    let events = count(&out).context("it printed no count")?;
    Ok(Reported { events, ..Reported::default() })
}

fn count(out: &str) -> Option<u64> {
    out.lines().find_map(|line| line.strip_prefix(COUNT)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn the_count_follows_its_name() {
        assert_eq!(count("ready\ntransitions: 200002\n"), Some(200_002));
        assert_eq!(count("ready\n"), None);
    }
}
