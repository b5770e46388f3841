//! Long-running steps: each is named when it starts and timed when it ends; the output of its tools
//! goes to a log file, whose end is shown on failure.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

/// Lines of a failed tool's output to show.
const LINES_SHOWN: usize = 25;

/// The log file of one set-up.
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// Starts a new log, replacing an older one.
    pub fn create(path: PathBuf) -> Result<Self> {
        File::create(&path).with_context(|| format!("could not write {}", path.display()))?;
        Ok(Self { path })
    }

    /// Prints `what`, runs the step, and prints its duration.
    pub fn step<T>(&self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprint!("  {what} … ");
        let _ = io::stderr().flush();
        let started = Instant::now();
        let result = work();
        let outcome = if result.is_ok() { "" } else { "failed after " };
        eprintln!("{outcome}{:.1} s", started.elapsed().as_secs_f64());
        result
    }

    /// Runs a tool, logs its output, and returns its standard output.
    ///
    /// Its messages are in English and it cannot prompt: it has no standard input.
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
            let output_lines: Vec<&str> = stdout.lines().chain(stderr.lines()).collect();
            bail!(
                "{} failed ({}):\n{}\nThe full log is {}",
                command.get_program().display(),
                output.status,
                output_lines[output_lines.len().saturating_sub(LINES_SHOWN)..].join("\n"),
                self.path.display()
            );
        }
        Ok(stdout.into_owned())
    }
}
