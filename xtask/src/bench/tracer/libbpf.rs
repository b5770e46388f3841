//! tcpstates and tcplife from libbpf-tools.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::PathBuf,
};

use anyhow::Result;

use super::{OutputDir, Ready, Reported, Reports, Tracer};

/// One line per transition.
pub fn tcpstates(program: PathBuf) -> Tracer {
    tool("tcpstates", Reports::Transitions, program)
}

/// One line per closed connection.
pub fn tcplife(program: PathBuf) -> Tracer {
    tool("tcplife", Reports::Connections, program)
}

fn tool(name: &'static str, reports: Reports, program: PathBuf) -> Tracer {
    Tracer {
        name,
        is_probe: false,
        reports,
        has_lines: true,
        ready: Ready::Idle,
        program,
        args: Vec::new(),
        libraries: None,
        count,
    }
}

fn count(_: &Tracer, dir: &OutputDir) -> Result<Reported> {
    let lines = BufReader::new(File::open(dir.out())?).split(b'\n').count() as u64;
    let lost = lost(&fs::read_to_string(dir.err())?);
    // The first line is the heading.
    Ok(Reported { events: lines.saturating_sub(1), lost, ..Reported::default() })
}

/// Sums the losses on stderr: "lost 12 events on CPU #0".
fn lost(errors: &str) -> u64 {
    let number = |line: &str| line.strip_prefix("lost ")?.split(' ').next()?.parse::<u64>().ok();
    errors.lines().filter_map(number).sum()
}

#[cfg(test)]
mod tests {
    use super::lost;

    #[test]
    fn losses_of_all_cpus_are_summed() {
        assert_eq!(lost(""), 0);
        assert_eq!(lost("lost 12 events on CPU #0\nanother word\nlost 30 events on CPU #1\n"), 42);
    }
}
