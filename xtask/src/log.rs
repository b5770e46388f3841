//! Steps that take a while: each is named before it begins and timed when it ends, and what its tools
//! say goes to a file that is shown where one of them fails.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

/// How many of a failed tool's last lines are shown.
const LINES_SHOWN: usize = 25;

/// The log of one set-up.
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// Begins a new log, in place of an older one.
    pub fn create(path: PathBuf) -> Result<Self> {
        File::create(&path).with_context(|| format!("could not write {}", path.display()))?;
        Ok(Self { path })
    }

    /// Says `what`, does it, and says how long it took.
    pub fn step<T>(&self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprint!("  {what} … ");
        let _ = io::stderr().flush();
        let begun = Instant::now();
        let result = work();
        let outcome = if result.is_ok() { "" } else { "failed after " };
        eprintln!("{outcome}{:.1} s", begun.elapsed().as_secs_f64());
        result
    }

    /// Runs a tool, keeps what it says, and gives its standard output.
    ///
    /// Its messages are in English and it never asks: it has no standard input.
    pub fn run(&self, command: &mut Command) -> Result<String> {
        let output = command
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("could not run {}", command.get_program().display()))?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let mut log = fs::OpenOptions::new().append(true).open(&self.path)?;
        writeln!(log, "$ {command:?}\n{stdout}{stderr}({})\n", output.status)?;
        if !output.status.success() {
            let said: Vec<&str> = stdout.lines().chain(stderr.lines()).collect();
            bail!(
                "{} failed ({}); it said:\n{}\nAll of it is in {}",
                command.get_program().display(),
                output.status,
                said[said.len().saturating_sub(LINES_SHOWN)..].join("\n"),
                self.path.display()
            );
        }
        Ok(stdout.into_owned())
    }
}
