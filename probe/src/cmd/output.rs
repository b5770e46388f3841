//! Where results go: stdout in the form that was asked for, and the files beside it.

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

/// The width of a table that goes to no terminal: nobody folds its lines.
const PIPED_WIDTH: u16 = 140;

/// The form of the output, and what of the stream it has.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// For people or for programs.
    pub format: Format,
    /// Which events.
    pub view: View,
    /// How a table shows times.
    pub time: TimeFormat,
}

impl Look {
    /// Everything, in that form.
    pub fn whole(format: Format) -> Self {
        Self { format, view: View::default(), time: TimeFormat::default() }
    }

    /// A renderer for stdout as it is.
    pub fn on_stdout(self) -> Box<dyn Render> {
        self.renderer(style())
    }

    /// A renderer for a file.
    pub fn in_file(self) -> Box<dyn Render> {
        self.renderer(Style { width: columns().unwrap_or(PIPED_WIDTH).into(), colour: false })
    }

    fn renderer(self, style: Style) -> Box<dyn Render> {
        match self.format {
            Format::Json => Box::new(Json::new(self.view)),
            Format::Table => Box::new(Table::new(style, self.view, self.time)),
        }
    }
}

/// Colour for a terminal alone, unless <https://no-color.org> asks for none; the terminal's width.
pub fn style() -> Style {
    let terminal = io::stdout().is_terminal();
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let window = || terminal.then(terminal_size::terminal_size).flatten().map(|(width, _)| width.0);
    Style { width: columns().or_else(window).unwrap_or(PIPED_WIDTH).into(), colour: terminal && !refused }
}

/// The width that the environment asks for.
fn columns() -> Option<u16> {
    std::env::var("COLUMNS").ok()?.parse().ok()
}

/// Stdout, as it is. Not by way of the standard library's, which would look for the ends of lines once more.
pub fn unbuffered() -> Box<dyn Write> {
    match io::stdout().as_fd().try_clone_to_owned() {
        Ok(stdout) => Box::new(File::from(stdout)),
        Err(_) => Box::new(io::stdout()),
    }
}

/// Stdout for whoever writes word by word, and flushes it at the end.
pub fn stdout() -> Box<dyn Write> {
    buffered(unbuffered())
}

/// A place to be written to word by word.
pub fn buffered(out: impl Write + 'static) -> Box<dyn Write> {
    Box::new(BufWriter::with_capacity(BLOCK_SIZE, out))
}

/// Prints a document. A reader that has seen enough is no failure.
pub fn print(document: &[u8]) -> Result<Exit, Failure> {
    let mut out = io::stdout();
    let printed = out.write_all(document).and_then(|()| out.flush()).map_err(SessionError::Output);
    outcome(printed, |()| Exit::Expected)
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
        same_file(self.file.metadata(), other.file.metadata())
    }

    /// Whether stdout goes to the same file.
    pub fn is_stdout(&self) -> bool {
        let stdout = io::stdout().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
        same_file(self.file.metadata(), stdout)
    }

    fn named(&self, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
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
        self.file.write(bytes).map_err(|error| self.named(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|error| self.named(error))
    }
}
