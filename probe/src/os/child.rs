//! A command run as a child process, with this process's standard streams, directory and environment.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, ExitStatus},
    thread,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{self, Signal},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::{Pid, getpgrp, tcgetpgrp},
};
use thiserror::Error;
use tokio::sync::oneshot;

use super::open_files::with_original_limit;

/// Why a command could not be started.
#[derive(Debug, Error)]
pub enum CommandError {
    /// No such file, or none on PATH.
    #[error("command `{0}` not found: give its path, or add its directory to PATH")]
    NotFound(String),
    /// The file cannot be executed.
    #[error("cannot run `{command}`: {cause}")]
    NotExecutable {
        /// The command's name.
        command: String,
        /// What execve(2) returned.
        cause: io::Error,
    },
}

/// A started command.
pub struct ChildProcess {
    process: Child,
    /// Sent by a thread that waits for the exit without reaping, so that the process id is not reused.
    exited: oneshot::Receiver<()>,
    status: Option<ExitStatus>,
}

impl ChildProcess {
    /// Starts the command: a name, then its arguments.
    ///
    /// # Errors
    /// [`CommandError`] says why it cannot be run.
    ///
    /// # Panics
    /// Without a name.
    pub fn start(command: &[OsString]) -> Result<Self, CommandError> {
        let (name, arguments) = command.split_first().expect("a command has a name");
        let spawned = with_original_limit(|| Command::new(name).args(arguments).spawn());
        let process = spawned.map_err(|cause| {
            let command = name.to_string_lossy().into_owned();
            match cause.kind() {
                io::ErrorKind::NotFound => CommandError::NotFound(command),
                _ => CommandError::NotExecutable { command, cause },
            }
        })?;
        let (sender, exited) = oneshot::channel();
        let pid = id(&process);
        thread::spawn(move || {
            while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
            // The receiver is gone if the trace failed.
            let _ = sender.send(());
        });
        Ok(Self { process, exited, status: None })
    }

    /// Waits for the exit and returns the status as a shell reports it: 128 plus the signal's number if a signal killed
    /// the process. Cancel safe; may be called again.
    ///
    /// # Errors
    /// wait(2)'s.
    pub async fn exit_status(&mut self) -> io::Result<u8> {
        let status = match self.status {
            Some(status) => status,
            None => {
                // The thread always sends before it ends.
                let _ = (&mut self.exited).await;
                *self.status.insert(self.process.wait()?)
            }
        };
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
    }

    /// Forwards a signal that this process received, unless the terminal sent it to both.
    pub fn forward(&self, signal: Signal) {
        let from_terminal = signal == Signal::SIGINT && in_foreground();
        if self.status.is_none() && !from_terminal {
            // It fails if the process has exited.
            let _ = signal::kill(id(&self.process), signal);
        }
    }
}

fn id(process: &Child) -> Pid {
    Pid::from_raw(process.id().cast_signed())
}

/// Whether Ctrl-C on the terminal signals this process's group, and so its children, too.
fn in_foreground() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(terminal) == Ok(getpgrp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(command: &[&str]) -> Result<ChildProcess, CommandError> {
        ChildProcess::start(&command.iter().map(OsString::from).collect::<Vec<_>>())
    }

    async fn exits(script: &str) -> u8 {
        start(&["sh", "-c", script]).unwrap().exit_status().await.unwrap()
    }

    #[tokio::test]
    async fn the_exit_status_is_as_a_shell_reports_it() {
        assert_eq!(exits("exit 0").await, 0);
        assert_eq!(exits("exit 41").await, 41);
        assert_eq!(exits("kill -TERM $$").await, 128 + 15);
    }

    #[tokio::test]
    async fn the_exit_status_can_be_read_again() {
        let mut running = start(&["sh", "-c", "exit 3"]).unwrap();
        assert_eq!(running.exit_status().await.unwrap(), 3);
        assert_eq!(running.exit_status().await.unwrap(), 3);
        running.forward(Signal::SIGKILL);
    }

    #[tokio::test]
    async fn a_signal_is_forwarded() {
        let mut running = start(&["sleep", "60"]).unwrap();
        running.forward(Signal::SIGTERM);
        assert_eq!(running.exit_status().await.unwrap(), 128 + 15);
    }

    #[test]
    fn a_command_that_cannot_run_is_an_error() {
        assert!(matches!(start(&["/no/such/command"]), Err(CommandError::NotFound(_))));
        assert!(matches!(start(&["/proc/version"]), Err(CommandError::NotExecutable { .. })));
    }
}
