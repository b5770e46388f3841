//! The processes that a measurement starts. They end with it, however it ends.
//!
//! Each is a process group of its own, so that Ctrl-C on a terminal reaches this program alone, which ends
//! them in order and puts back what it has changed on the host.

use std::{
    io,
    os::unix::process::CommandExt as _,
    process::{self, ChildStdin, ChildStdout, Command, ExitStatus},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

/// What is to be undone where this process is ended by a signal.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
static UNDO: Mutex<Vec<Box<dyn Fn() + Send>>> = Mutex::new(Vec::new());

/// What a shell says of a program that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// From here on SIGINT, SIGTERM and SIGHUP end the children, undo what was done, and end this process.
///
/// # Errors
/// The handler cannot be set.
pub fn clean_up_on_signals() -> Result<()> {
    ctrlc::set_handler(|| {
        // Both stay locked: nothing is started or reaped any more.
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        for pid in running.iter() {
            let _ = killpg(*pid, Signal::SIGKILL);
        }
        let undo = UNDO.lock().unwrap_or_else(PoisonError::into_inner);
        undo.iter().for_each(|undo| undo());
        process::exit(INTERRUPTED);
    })
    .context("could not watch for Ctrl-C")
}

/// Has `undo` done where a signal ends this process.
pub fn undo_on_signal(undo: impl Fn() + Send + 'static) {
    UNDO.lock().expect("nobody panics with it").push(Box::new(undo));
}

/// A child process and what it starts. Dropping it kills them.
pub struct Child {
    process: process::Child,
    pid: Pid,
    has_ended: bool,
}

impl Child {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut running = RUNNING.lock().expect("nobody panics with it");
        let process = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("could not start {}", command.get_program().display()))?;
        let pid = Pid::from_raw(process.id().cast_signed());
        running.push(pid);
        Ok(Self { process, pid, has_ended: false })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its input, where a pipe was asked for.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.process.stdin.take()
    }

    /// Its output, likewise.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.process.stdout.take()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> nix::Result<()> {
        if self.has_ended { Err(Errno::ESRCH) } else { kill(self.pid, signal) }
    }

    /// Its exit status, if it has ended.
    pub fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        let mut running = RUNNING.lock().expect("nobody panics with it");
        let status = self.process.try_wait()?;
        if status.is_some() {
            self.has_ended = true;
            running.retain(|pid| *pid != self.pid);
        }
        Ok(status)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.status(), Ok(None)) {
            let _ = killpg(self.pid, Signal::SIGKILL);
            let _ = self.process.wait();
            let _ = self.status();
        }
    }
}
