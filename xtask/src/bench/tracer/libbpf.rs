//! tcpstates and tcplife, of libbpf-tools.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::PathBuf,
};

use anyhow::Result;

use super::{Place, Ready, Tells, Told, Tracer};

/// One line for each transition.
pub fn tcpstates(program: PathBuf) -> Tracer {
    tool("tcpstates", Tells::Transitions, program)
}

/// One line for each connection that has ended.
pub fn tcplife(program: PathBuf) -> Tracer {
    tool("tcplife", Tells::Connections, program)
}

fn tool(name: &'static str, tells: Tells, program: PathBuf) -> Tracer {
    Tracer {
        name,
        is_probe: false,
        tells,
        has_lines: true,
        ready: Ready::Settles,
        program,
        args: Vec::new(),
        libraries: None,
        count,
    }
}

fn count(_: &Tracer, place: &Place) -> Result<Told> {
    let lines = BufReader::new(File::open(place.out())?).split(b'\n').count() as u64;
    let lost = lost(&fs::read_to_string(place.err())?);
    // A heading stands above them.
    Ok(Told { events: lines.saturating_sub(1), lost, ..Told::default() })
}

/// Adds up what was lost, of which the tools say on stderr: "lost 12 events on CPU #0".
fn lost(errors: &str) -> u64 {
    let number = |line: &str| line.strip_prefix("lost ")?.split(' ').next()?.parse::<u64>().ok();
    errors.lines().filter_map(number).sum()
}

#[cfg(test)]
mod tests {
    use super::lost;

    #[test]
    fn losses_are_added_up() {
        assert_eq!(lost(""), 0);
        assert_eq!(lost("lost 12 events on CPU #0\nanother word\nlost 30 events on CPU #1\n"), 42);
    }
}
