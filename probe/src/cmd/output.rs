//! Where results go: stdout in the chosen format, and the files named by flags.

use std::{
    fs::{File, Metadata},
    io::{self, BufWriter, IsTerminal as _, Write},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use super::{
    exit::{Exit, Failure},
    outcome,
};
use crate::{
    cli::Format,
    render::{Json, Render, Style, Table, TimeFormat, View},
    session::{BLOCK_SIZE, SessionError},
};

/// The width of a table that is not written to a terminal.
const PIPED_WIDTH: u16 = 140;

/// The output format, and which part of the stream it shows.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Table or JSON.
    pub format: Format,
    /// Which events are shown.
    pub view: View,
    /// How a table shows times.
    pub time: TimeFormat,
}

impl Layout {
    /// All events in this format.
    pub fn all(format: Format) -> Self {
        Self { format, view: View::default(), time: TimeFormat::default() }
    }

    /// A renderer for stdout, by whether it is a terminal.
    pub fn for_stdout(self) -> Box<dyn Render> {
        self.renderer(style())
    }

    /// A renderer for a file.
    pub fn for_file(self) -> Box<dyn Render> {
        self.renderer(Style { width: columns().unwrap_or(PIPED_WIDTH).into(), colour: false })
    }

    fn renderer(self, style: Style) -> Box<dyn Render> {
        match self.format {
            Format::Json => Box::new(Json::new(self.view)),
            Format::Table => Box::new(Table::new(style, self.view, self.time)),
        }
    }
}

/// The style for stdout: colour only on a terminal and unless NO_COLOR is set (<https://no-color.org>) or TERM is
/// `dumb`, and its width.
pub fn style() -> Style {
    let terminal = io::stdout().is_terminal();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    let window = || terminal.then(terminal_size::terminal_size).flatten().map(|(width, _)| width.0);
    Style { width: columns().or_else(window).unwrap_or(PIPED_WIDTH).into(), colour: terminal && !no_color }
}

/// The width set by COLUMNS.
fn columns() -> Option<u16> {
    std::env::var("COLUMNS").ok()?.parse().ok()
}

/// Stdout without a buffer. Not std's, which is line-buffered and would scan everything for newlines.
pub fn unbuffered() -> Box<dyn Write> {
    match io::stdout().as_fd().try_clone_to_owned() {
        Ok(stdout) => Box::new(File::from(stdout)),
        Err(_) => Box::new(io::stdout()),
    }
}

/// Buffered stdout; the caller flushes it.
pub fn stdout() -> Box<dyn Write> {
    buffered(unbuffered())
}

/// Adds a buffer to a writer.
pub fn buffered(out: impl Write + 'static) -> Box<dyn Write> {
    Box::new(BufWriter::with_capacity(BLOCK_SIZE, out))
}

/// Prints a document to stdout. A closed pipe is not a failure.
pub fn print(document: &[u8]) -> Result<Exit, Failure> {
    let mut out = io::stdout();
    let printed = out.write_all(document).and_then(|()| out.flush()).map_err(SessionError::Output);
    outcome(printed, |()| Exit::Expected)
}

/// A file named by a flag. Its I/O errors include the path. An existing file keeps its content until the first write, so
/// that a run that fails to start destroys nothing.
pub struct NamedFile {
    file: File,
    path: PathBuf,
    is_truncated: bool,
}

impl NamedFile {
    /// Creates the file. To be called before the run starts, so that one whose results cannot be saved does not start.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        match File::options().write(true).create(true).truncate(false).open(path) {
            Ok(file) => Ok(Self { file, path: path.to_owned(), is_truncated: false }),
            Err(error) => Err(Failure::usage(format!("cannot create {}: {error}", path.display()))),
        }
    }

    /// Whether both are the same regular file, so that they would overwrite each other.
    pub fn is_same(&self, other: &Self) -> bool {
        same_file(self.file.metadata(), other.file.metadata())
    }

    /// Whether stdout is redirected to the same file.
    pub fn is_stdout(&self) -> bool {
        let stdout = io::stdout().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
        same_file(self.file.metadata(), stdout)
    }

    fn with_path(&self, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }

    /// Removes the old content before the first write. Pipes and devices have none.
    fn truncate(&mut self) -> io::Result<()> {
        if !self.is_truncated && self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.is_truncated = true;
        Ok(())
    }
}

fn same_file(one: io::Result<Metadata>, other: io::Result<Metadata>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one.is_file() && (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

impl Write for NamedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.truncate().and_then(|()| self.file.write(bytes)).map_err(|error| self.with_path(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|error| self.with_path(error))
    }
}
