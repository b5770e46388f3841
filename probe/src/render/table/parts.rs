//! The smaller parts of a scenario: checks, findings, sockets, notes.

use std::io::{self, Write};

use super::{
    super::style::{Style, Tone},
    grid::{Grid, paragraph},
    words,
};
use crate::model::{Check, Finding, SocketRow};

/// What was asked, what should be, what is.
pub fn checks(checks: &[Check], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new(style).header(["", "check", "expected", "observed"]);
    for check in checks {
        let (mark, tone) = if check.pass { ("✓", Tone::Good) } else { ("✗", Tone::Bad) };
        let seen = if check.pass { Tone::Plain } else { Tone::Bad };
        grid.row([
            (tone, mark.to_owned()),
            (Tone::Plain, check.name.clone()),
            (Tone::Plain, check.expected.clone()),
            (seen, check.observed.clone()),
        ]);
    }
    grid.write(out)
}

/// What the detectors say, each with its remedy.
pub fn findings(findings: &[Finding], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new(style);
    for finding in findings {
        grid.row([
            (Tone::Remarkable, finding.kind.name().to_owned()),
            (Tone::Plain, finding.message.clone()),
        ]);
        if let Some(remedy) = &finding.remedy {
            grid.row([(Tone::Faint, "remedy".to_owned()), (Tone::Plain, remedy.clone())]);
        }
    }
    grid.write(out)
}

/// A socket a line, as `ss` has it.
pub fn sockets(rows: &[SocketRow], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new(style).header(["State", "Local", "Peer", "Process", ""]);
    for row in rows {
        grid.row([
            (Tone::Plain, row.state.to_string()),
            (Tone::Plain, row.ends.local.to_string()),
            (Tone::Plain, row.ends.remote.to_string()),
            words::owner(&row.owner),
            (Tone::Faint, row.label.clone()),
        ]);
    }
    grid.write(out)
}

/// What there is to say besides.
pub fn notes(notes: &[String], style: Style, out: &mut dyn Write) -> io::Result<()> {
    notes.iter().try_for_each(|note| paragraph(style, Tone::Plain, note).write(out))
}
