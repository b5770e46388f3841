//! Child processes of a measurement. They never outlive it, however it ends.
//!
//! Each runs in its own process group, so that Ctrl-C reaches this program alone, which then stops them in order
//! and restores what it changed on the host.

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

/// Clean-up actions to run when a signal terminates this process.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
static UNDO: Mutex<Vec<Box<dyn Fn() + Send>>> = Mutex::new(Vec::new());

/// The exit code that a shell reports after Ctrl-C: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// Makes SIGINT, SIGTERM and SIGHUP kill the children, run the clean-up actions, and exit.
///
/// # Errors
/// The signal handler cannot be installed.
pub fn clean_up_on_signals() -> Result<()> {
    ctrlc::set_handler(|| {
        // Both locks stay held: no child is started or reaped from here on.
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        for pid in running.iter() {
            let _ = killpg(*pid, Signal::SIGKILL);
        }
        let undo = UNDO.lock().unwrap_or_else(PoisonError::into_inner);
        undo.iter().for_each(|undo| undo());
        process::exit(INTERRUPTED);
    })
    .context("could not install the signal handler")
}

/// Registers a clean-up action for the case that a signal terminates this process.
pub fn undo_on_signal(undo: impl Fn() + Send + 'static) {
    UNDO.lock().expect("no panic while the lock is held").push(Box::new(undo));
}

/// A child process and its descendants. Dropping it kills the process group.
pub struct Child {
    process: process::Child,
    pid: Pid,
    has_ended: bool,
}

impl Child {
    /// Spawns the command.
    ///
    /// # Errors
    /// The program cannot be executed.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut running = RUNNING.lock().expect("no panic while the lock is held");
        let process = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("could not start {}", command.get_program().display()))?;
        let pid = Pid::from_raw(process.id().cast_signed());
        running.push(pid);
        Ok(Self { process, pid, has_ended: false })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its standard input, if it was piped.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.process.stdin.take()
    }

    /// Its standard output, if it was piped.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.process.stdout.take()
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) -> nix::Result<()> {
        if self.has_ended { Err(Errno::ESRCH) } else { kill(self.pid, signal) }
    }

    /// The exit status, if it has exited.
    pub fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        let mut running = RUNNING.lock().expect("no panic while the lock is held");
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
