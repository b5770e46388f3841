//! Where results go: stdout in the form that was asked for, and the files beside it.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal as _, Write},
    path::Path,
};

use super::exit::Failure;
use crate::{
    cli::Format,
    render::{Json, Render, Style, Table},
};

/// The width of a table that goes to no terminal: nobody folds its lines.
const PIPED_WIDTH: u16 = 140;

/// The renderer for stdout as it is.
pub fn renderer(format: Format) -> Box<dyn Render> {
    match format {
        Format::Json => Box::new(Json::default()),
        Format::Table => Box::new(Table::new(style())),
    }
}

/// Stdout, buffered; the session flushes it whenever it has caught up.
pub fn stdout() -> Box<dyn Write> {
    Box::new(BufWriter::new(io::stdout()))
}

/// Colour for a terminal alone, unless <https://no-color.org> asks for none; the terminal's width.
fn style() -> Style {
    let terminal = io::stdout().is_terminal();
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let window = || terminal.then(terminal_size::terminal_size).flatten().map(|(width, _)| width.0);
    Style { width: columns.or_else(window).unwrap_or(PIPED_WIDTH).into(), colour: terminal && !refused }
}

/// Creates a file that was named on the command line, before anything else is done: a run that
/// cannot keep what it finds is better not begun.
pub fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    File::create(path)
        .map(BufWriter::new)
        .map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))
}
