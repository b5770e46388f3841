//! Where results go: stdout in the form that was asked for, and the files beside it.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal as _, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
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

/// A file that was named on the command line. Its errors name it, too.
pub struct NamedFile {
    file: File,
    path: PathBuf,
}

impl NamedFile {
    /// Creates the file, before anything else is done: a run that cannot keep what it finds is better
    /// not begun.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        match File::create(path) {
            Ok(file) => Ok(Self { file, path: path.to_owned() }),
            Err(error) => Err(Failure::usage(format!("cannot write {}: {error}", path.display()))),
        }
    }

    /// Whether both write over each other: not where they are devices.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self.file.metadata(), other.file.metadata()) {
            (Ok(own), Ok(its)) => own.is_file() && (own.dev(), own.ino()) == (its.dev(), its.ino()),
            _ => false,
        }
    }

    fn named(&self, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }
}

impl Write for NamedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| self.named(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|error| self.named(error))
    }
}
