//! What is measured: each way to run probe, and each tool that people use in its place.

pub mod bpftrace;
pub mod floor;
pub mod libbpf;
pub mod perf;
pub mod probe;
mod running;

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

pub use self::running::{Running, Stopped};

/// A tracer, as it is started and read.
#[derive(Clone)]
pub struct Tracer {
    /// What it is called in the tables.
    pub name: &'static str,
    /// Whether it is probe.
    pub is_probe: bool,
    /// What it tells of.
    pub tells: Tells,
    /// Whether it writes a line about each thing at once.
    pub has_lines: bool,
    /// When it is ready.
    ready: Ready,
    program: PathBuf,
    args: Vec<OsString>,
    /// Where it finds its libraries, if not where the host has them.
    libraries: Option<PathBuf>,
    /// Counts what it has told.
    count: fn(&Tracer, &Place) -> Result<Told>,
}

/// What a tracer tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// Each transition.
    Transitions,
    /// Each end of a connection, once, when it is over.
    Connections,
    /// Only how many transitions there were.
    Count,
}

/// When a tracer is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    /// When it has written this.
    Says(&'static str),
    /// When it has something attached, and uses no CPU any more.
    Settles,
}

/// What a tracer has told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// How much of what it tells of.
    pub events: u64,
    /// How much of it was lost, in its own words.
    pub lost: u64,
    /// Connections of which it says itself that it has not seen all.
    pub incomplete: u64,
    /// Connections that it gives as whole and that took no course which the load makes them take.
    pub wrong: u64,
}

impl Tracer {
    /// The same with more arguments.
    pub fn with(&self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        let mut with = self.clone();
        with.args.extend(args.into_iter().map(Into::into));
        with
    }

    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir(&place.0).env("LC_ALL", "C.UTF-8");
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }
}

/// The directory in which a tracer runs: its output, and the files that it writes.
pub struct Place(PathBuf);

impl Place {
    /// An empty one, in place of what was there.
    pub fn clear(directory: &Path) -> Result<Self> {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::create_dir_all(directory),
        }
        .with_context(|| format!("could not empty {}", directory.display()))?;
        Ok(Self(directory.to_owned()))
    }

    /// A file in it.
    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What it has written to stdout.
    fn out(&self) -> PathBuf {
        self.file("out")
    }

    /// What it has written to stderr.
    fn err(&self) -> PathBuf {
        self.file("err")
    }

    /// What it said of an error; its last words, if it did not call it one.
    fn last_words(&self) -> String {
        let text = fs::read_to_string(self.err()).unwrap_or_default();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let error = lines.clone().find(|line| line.to_lowercase().starts_with("error"));
        error.or(lines.next_back()).unwrap_or("it said nothing").to_owned()
    }

    /// How many bytes there are in all its files.
    fn bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(&self.0)? {
            bytes += entry?.metadata()?.len();
        }
        Ok(bytes)
    }
}

/// The program of that name on PATH, or in one of the directories where root's programs are.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(usual)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}
