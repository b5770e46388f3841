//! A running tracer, from start to exit, and its cost.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    process::Stdio,
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{pty::openpty, sys::signal::Signal};

use super::{OutputDir, Ready, Reported, Tracer};
use crate::bench::{
    child::Child,
    process::{Memory, Process, monotonic_ns},
};

/// Maximum time for a tracer to become ready, to drain its buffers, or to exit.
const PATIENCE: Duration = Duration::from_secs(20);
/// Polling interval.
const POLL: Duration = Duration::from_millis(1);
/// A tracer is idle when it uses less than [`IDLE_CPU`] in this time.
const IDLE: Duration = Duration::from_millis(120);
const IDLE_CPU: Duration = Duration::from_millis(2);

/// A tracer that is ready. Dropping it kills it.
pub struct Running<'a> {
    tracer: &'a Tracer,
    dir: OutputDir,
    child: Child,
    /// Time from start to ready.
    pub to_ready: Duration,
    /// CPU time until it was ready.
    start_cpu: Duration,
}

/// What a stopped tracer reported and used.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// What it reported.
    pub reported: Reported,
    /// CPU time from ready to the stop request.
    pub cpu: Duration,
    /// Peak memory in bytes.
    pub memory: u64,
    /// Bytes written.
    pub written: u64,
}

impl<'a> Running<'a> {
    /// Starts the tracer with its output in a file, and waits until it is ready.
    ///
    /// # Errors
    /// It exits first or does not become ready in time: the error has its last message.
    pub fn start(tracer: &'a Tracer, dir: OutputDir) -> Result<Self> {
        let out = File::create(dir.out())?;
        Self::start_to(tracer, dir, out)
    }

    /// Starts the tracer on a pseudo-terminal, so that it does not buffer lines. Returns the times of its writes
    /// (CLOCK_MONOTONIC, nanoseconds).
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_on_terminal(tracer: &'a Tracer, dir: OutputDir) -> Result<(Self, Receiver<u64>)> {
        let terminal = openpty(None, None)?;
        let (mut terminal_output, mut copy) = (File::from(terminal.master), File::create(dir.out())?);
        let (sender, times) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Reading fails once the tracer has closed the terminal.
            while let Ok(length) = terminal_output.read(&mut buffer) {
                // The receiver is gone once the measurement is over.
                let _ = sender.send(monotonic_ns());
                if copy.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
        });
        Ok((Self::start_to(tracer, dir, terminal.slave)?, times))
    }

    fn start_to(tracer: &'a Tracer, dir: OutputDir, out: impl Into<Stdio>) -> Result<Self> {
        let mut command = tracer.command(&dir);
        command.stdin(Stdio::null()).stdout(out).stderr(File::create(dir.err())?);
        let child = Child::start(&mut command)?;
        let started = Instant::now();
        // Closes this process's copy of the terminal.
        drop(command);
        let mut running = Self { tracer, dir, child, to_ready: Duration::ZERO, start_cpu: Duration::ZERO };
        running.to_ready = match tracer.ready {
            Ready::Prints(text) => running.wait_for_output(text, 0, PATIENCE)?,
            Ready::Idle => running.wait_until_idle(started, Process::is_attached)?,
        };
        running.start_cpu = running.process().cpu()?;
        Ok(running)
    }

    /// The process.
    pub fn process(&self) -> Process {
        Process(self.child.pid())
    }

    /// Sends a signal to the tracer.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(self.child.signal(signal)?)
    }

    /// Size of its output so far in bytes.
    pub fn written(&self) -> Result<u64> {
        Ok(fs::metadata(self.dir.out())?.len())
    }

    /// Waits until its output contains `text` at or after byte `from`. Returns the time waited.
    ///
    /// # Errors
    /// It exits, or `patience` is exceeded.
    pub fn wait_for_output(&mut self, text: &str, from: u64, patience: Duration) -> Result<Duration> {
        let started = Instant::now();
        let mut out = File::open(self.dir.out())?;
        out.seek(SeekFrom::Start(from))?;
        let mut unread = Vec::new();
        loop {
            self.ensure_running("was ready")?;
            if out.read_to_end(&mut unread)? > 0 {
                if unread.windows(text.len()).any(|part| part == text.as_bytes()) {
                    return Ok(started.elapsed());
                }
                // The rest of the text may follow.
                unread.drain(..unread.len().saturating_sub(text.len()));
            }
            if started.elapsed() > patience {
                let name = self.tracer.name;
                bail!("{name} did not print {text} within {patience:?}; {}", self.dir.last_message());
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until it is idle, and returns the time from `started` to the start of idleness.
    fn wait_until_idle(&mut self, started: Instant, is_ready: impl Fn(Process) -> bool) -> Result<Duration> {
        let (mut idle_since, mut used) = (Instant::now(), self.process().cpu()?);
        loop {
            self.ensure_running("was stopped")?;
            let (cpu, is_runnable) = (self.process().cpu()?, self.process().is_runnable()?);
            // A runnable tracer that gets no CPU is not idle.
            if is_runnable || cpu.saturating_sub(used) > IDLE_CPU || !is_ready(self.process()) {
                (idle_since, used) = (Instant::now(), cpu);
            } else if idle_since.elapsed() > IDLE {
                return Ok(idle_since.saturating_duration_since(started));
            }
            if started.elapsed() > PATIENCE {
                bail!("{} did not become idle within {PATIENCE:?}", self.tracer.name);
            }
            thread::sleep(POLL * 5);
        }
    }

    /// Waits until it has drained its buffers.
    pub fn drain(&mut self) -> Result<()> {
        self.wait_until_idle(Instant::now(), |_| true).map(drop)
    }

    /// Stops it with SIGINT and counts what it reported. Its CPU time excludes what it reads after the signal.
    ///
    /// # Errors
    /// It exited before, or does not exit, or its output cannot be read.
    pub fn stop(mut self) -> Result<Finished> {
        let cpu = self.process().cpu()?.saturating_sub(self.start_cpu);
        let memory = self.process().memory(Memory::Most)?;
        self.signal(Signal::SIGINT)?;
        let signalled = Instant::now();
        while self.child.status()?.is_none() {
            if signalled.elapsed() > PATIENCE {
                bail!("{} did not exit within {PATIENCE:?} of SIGINT", self.tracer.name);
            }
            thread::sleep(POLL);
        }
        let reported = (self.tracer.count)(self.tracer, &self.dir)
            .with_context(|| format!("could not read the output of {}", self.tracer.name))?;
        let written = self.dir.bytes()?;
        fs::remove_dir_all(&self.dir.0)?;
        Ok(Finished { reported, cpu, memory, written })
    }

    /// Fails if it has exited.
    fn ensure_running(&mut self, before: &str) -> Result<()> {
        match self.child.status()? {
            None => Ok(()),
            Some(status) => {
                bail!(
                    "{} exited before it {before} ({status}): {}",
                    self.tracer.name,
                    self.dir.last_message()
                )
            }
        }
    }
}
