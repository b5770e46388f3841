//! A tracer from its start to its end, and what it has cost by then.

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

use super::{Place, Ready, Told, Tracer};
use crate::bench::{
    child::Child,
    process::{Memory, Process, monotonic_ns},
};

/// How long a tracer may take to be ready, to read what there is, or to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(1);
/// A tracer is at rest that uses less than [`REST_CPU`] of a CPU for so long.
const REST: Duration = Duration::from_millis(120);
const REST_CPU: Duration = Duration::from_millis(2);

/// A tracer that is ready, until it is stopped. Dropping it kills it.
pub struct Running<'a> {
    tracer: &'a Tracer,
    place: Place,
    child: Child,
    /// From its start to its readiness.
    pub to_ready: Duration,
    /// CPU time that it took to be ready.
    start_cpu: Duration,
}

/// What a tracer that has been stopped has told and used.
#[derive(Clone, Copy, Debug)]
pub struct Stopped {
    /// What it has told.
    pub told: Told,
    /// CPU time between ready and being told to stop.
    pub cpu: Duration,
    /// The most memory that it has had, in bytes.
    pub memory: u64,
    /// How many bytes it has written.
    pub written: u64,
}

impl<'a> Running<'a> {
    /// Starts it with its output to a file, and waits until it is ready.
    ///
    /// # Errors
    /// It ends before it is ready, or never is: what it said last is in the message.
    pub fn start(tracer: &'a Tracer, place: Place) -> Result<Self> {
        let out = File::create(place.out())?;
        Self::start_to(tracer, place, out)
    }

    /// Starts it with its output to a terminal, so that no tool keeps lines back. Gives the times at which something
    /// was written there (CLOCK_MONOTONIC, nanoseconds).
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_on_terminal(tracer: &'a Tracer, place: Place) -> Result<(Self, Receiver<u64>)> {
        let terminal = openpty(None, None)?;
        let (mut heard, mut copy) = (File::from(terminal.master), File::create(place.out())?);
        let (tell, times) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // It fails when the tracer has closed its end.
            while let Ok(length) = heard.read(&mut buffer) {
                // Nobody listens any more once the measurement is over.
                let _ = tell.send(monotonic_ns());
                if copy.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
        });
        Ok((Self::start_to(tracer, place, terminal.slave)?, times))
    }

    fn start_to(tracer: &'a Tracer, place: Place, out: impl Into<Stdio>) -> Result<Self> {
        let mut command = tracer.command(&place);
        command.stdin(Stdio::null()).stdout(out).stderr(File::create(place.err())?);
        let child = Child::start(&mut command)?;
        let begun = Instant::now();
        // The terminal's end in this process goes with it.
        drop(command);
        let mut running = Self { tracer, place, child, to_ready: Duration::ZERO, start_cpu: Duration::ZERO };
        running.to_ready = match tracer.ready {
            Ready::Says(text) => running.says(text, 0, PATIENCE)?,
            Ready::Settles => running.settles(begun, Process::is_attached)?,
        };
        running.start_cpu = running.process().cpu()?;
        Ok(running)
    }

    /// The process.
    pub fn process(&self) -> Process {
        Process(self.child.pid())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(self.child.signal(signal)?)
    }

    /// How many bytes its output has so far.
    pub fn written(&self) -> Result<u64> {
        Ok(fs::metadata(self.place.out())?.len())
    }

    /// Waits until a text stands in its output, from this byte on, and gives the time that it took.
    ///
    /// # Errors
    /// It ends, or that takes longer than `patience`.
    pub fn says(&mut self, text: &str, from: u64, patience: Duration) -> Result<Duration> {
        let begun = Instant::now();
        let mut out = File::open(self.place.out())?;
        out.seek(SeekFrom::Start(from))?;
        let mut unread = Vec::new();
        loop {
            self.must_run("was ready")?;
            if out.read_to_end(&mut unread)? > 0 {
                if unread.windows(text.len()).any(|part| part == text.as_bytes()) {
                    return Ok(begun.elapsed());
                }
                // The rest of the text may be still to come.
                unread.drain(..unread.len().saturating_sub(text.len()));
            }
            if begun.elapsed() > patience {
                let name = self.tracer.name;
                bail!("{name} did not say {text} within {patience:?}; {}", self.place.last_words());
            }
            thread::sleep(LOOK);
        }
    }

    /// Waits until it uses no CPU any more, and gives the time from `begun` until that began.
    fn settles(&mut self, begun: Instant, is_so_far: impl Fn(Process) -> bool) -> Result<Duration> {
        let (mut rests_since, mut used) = (Instant::now(), self.process().cpu()?);
        loop {
            self.must_run("was stopped")?;
            let (cpu, is_runnable) = (self.process().cpu()?, self.process().is_runnable()?);
            // Where others leave it no CPU, it is not at rest.
            if is_runnable || cpu.saturating_sub(used) > REST_CPU || !is_so_far(self.process()) {
                (rests_since, used) = (Instant::now(), cpu);
            } else if rests_since.elapsed() > REST {
                return Ok(rests_since.saturating_duration_since(begun));
            }
            if begun.elapsed() > PATIENCE {
                bail!("{} did not come to rest within {PATIENCE:?}", self.tracer.name);
            }
            thread::sleep(LOOK * 5);
        }
    }

    /// Waits until it has read what there is.
    pub fn rests(&mut self) -> Result<()> {
        self.settles(Instant::now(), |_| true).map(drop)
    }

    /// Stops it as Ctrl-C would, and counts what it has told. What it has not read by now is not in its CPU time.
    ///
    /// # Errors
    /// It has ended before, or does not end; or what it has written cannot be read.
    pub fn stop(mut self) -> Result<Stopped> {
        let cpu = self.process().cpu()?.saturating_sub(self.start_cpu);
        let memory = self.process().memory(Memory::Most)?;
        self.signal(Signal::SIGINT)?;
        let asked = Instant::now();
        while self.child.status()?.is_none() {
            if asked.elapsed() > PATIENCE {
                bail!("{} did not end within {PATIENCE:?} of SIGINT", self.tracer.name);
            }
            thread::sleep(LOOK);
        }
        let told = (self.tracer.count)(self.tracer, &self.place)
            .with_context(|| format!("could not read what {} has written", self.tracer.name))?;
        let written = self.place.bytes()?;
        fs::remove_dir_all(&self.place.0)?;
        Ok(Stopped { told, cpu, memory, written })
    }

    /// An error if it has ended.
    fn must_run(&mut self, before: &str) -> Result<()> {
        match self.child.status()? {
            None => Ok(()),
            Some(status) => {
                bail!("{} ended before it {before} ({status}): {}", self.tracer.name, self.place.last_words())
            }
        }
    }
}
