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

/// Counts the lines below the heading, and on stderr what was lost.
fn count(_: &Tracer, place: &Place) -> Result<Told> {
    let lines = BufReader::new(File::open(place.out())?).split(b'\n').count() as u64;
    // `handle_lost_events`: "lost 12 events on CPU #0".
    let errors = fs::read_to_string(place.err())?;
    let lost = errors
        .lines()
        .filter_map(|line| line.to_lowercase().strip_prefix("lost ")?.split(' ').next()?.parse::<u64>().ok());
    Ok(Told { events: lines.saturating_sub(1), lost: lost.sum(), ..Told::default() })
}
