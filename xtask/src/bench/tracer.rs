//! The measured tracers: each mode of probe, and each comparable tool.

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

pub use self::running::{Finished, Running};

/// How to start a tracer and read its results.
#[derive(Clone)]
pub struct Tracer {
    /// Its name in the tables.
    pub name: &'static str,
    /// Whether it is a mode of probe.
    pub is_probe: bool,
    /// What it reports.
    pub reports: Reports,
    /// Whether it writes a line per event as it happens.
    pub has_lines: bool,
    /// How to recognise that it is ready.
    ready: Ready,
    program: PathBuf,
    args: Vec<OsString>,
    /// Library directory, if not the host's.
    libraries: Option<PathBuf>,
    /// Counts what it reported.
    count: fn(&Tracer, &OutputDir) -> Result<Reported>,
}

/// What a tracer reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reports {
    /// Each transition.
    Transitions,
    /// Each endpoint of a connection, once, when it has closed.
    Connections,
    /// Only the number of transitions.
    Count,
}

/// How to recognise that a tracer is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    /// It has printed this text.
    Prints(&'static str),
    /// It has attached something and uses no more CPU.
    Idle,
}

/// What a tracer reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// Number of transitions or connections reported.
    pub events: u64,
    /// Number that it reports as lost.
    pub lost: u64,
    /// Connections that it marks as incomplete.
    pub incomplete: u64,
    /// Connections reported as complete whose path is not one that the load produces.
    pub wrong: u64,
}

impl Tracer {
    /// The same tracer with additional arguments.
    pub fn with(&self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        let mut with = self.clone();
        with.args.extend(args.into_iter().map(Into::into));
        with
    }

    fn command(&self, dir: &OutputDir) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir(&dir.0).env("LC_ALL", "C.UTF-8");
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }
}

/// The working directory of a tracer, with its output and the files that it writes.
pub struct OutputDir(PathBuf);

impl OutputDir {
    /// Empties the directory, or creates it.
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

    /// The file of its stdout.
    fn out(&self) -> PathBuf {
        self.file("out")
    }

    /// The file of its stderr.
    fn err(&self) -> PathBuf {
        self.file("err")
    }

    /// Its error message, or else the last line that it printed.
    fn last_message(&self) -> String {
        let text = fs::read_to_string(self.err()).unwrap_or_default();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let error = lines.clone().find(|line| line.to_lowercase().starts_with("error"));
        error.or(lines.next_back()).unwrap_or("it printed nothing").to_owned()
    }

    /// Total size of all its files in bytes.
    fn bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(&self.0)? {
            bytes += entry?.metadata()?.len();
        }
        Ok(bytes)
    }
}

/// The program of that name on PATH or in root's program directories.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(usual)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}
