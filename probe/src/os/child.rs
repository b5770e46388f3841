//! A command that is run in this process's place: with its streams, its directory and its environment.

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

/// Why a command does not run.
#[derive(Debug, Error)]
pub enum CommandError {
    /// There is none of that name.
    #[error("there is no command `{0}`: give its path, or put its directory on PATH")]
    NotFound(String),
    /// It is there, and cannot be executed.
    #[error("cannot run `{command}`: {cause}")]
    NotExecutable {
        /// Its name.
        command: String,
        /// The system's word.
        cause: io::Error,
    },
}

/// A command that runs.
pub struct Running {
    process: Child,
    /// Told by a thread that waits for the end without reaping, so that the process id stays the child's.
    ended: oneshot::Receiver<()>,
    status: Option<ExitStatus>,
}

impl Running {
    /// Starts the command: a name, then its arguments.
    ///
    /// # Errors
    /// [`CommandError`] says why it cannot be run.
    ///
    /// # Panics
    /// Without a name.
    pub fn start(command: &[OsString]) -> Result<Self, CommandError> {
        let (name, arguments) = command.split_first().expect("a command has a name");
        let process = Command::new(name).args(arguments).spawn().map_err(|cause| {
            let command = name.to_string_lossy().into_owned();
            match cause.kind() {
                io::ErrorKind::NotFound => CommandError::NotFound(command),
                _ => CommandError::NotExecutable { command, cause },
            }
        })?;
        let (tell, ended) = oneshot::channel();
        let pid = id(&process);
        thread::spawn(move || {
            while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
            // Nobody listens any more where the trace broke off.
            let _ = tell.send(());
        });
        Ok(Self { process, ended, status: None })
    }

    /// Waits for its end: what a shell calls its exit status, 128 and the signal's number where it died of
    /// one. It may be dropped while it waits, and asked again.
    ///
    /// # Errors
    /// wait(2)'s.
    pub async fn ended(&mut self) -> io::Result<u8> {
        let status = match self.status {
            Some(status) => status,
            None => {
                // The thread cannot go before it has spoken.
                let _ = (&mut self.ended).await;
                *self.status.insert(self.process.wait()?)
            }
        };
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
    }

    /// Passes a signal on that this process was sent, unless the terminal has sent it to both.
    pub fn pass_on(&self, signal: Signal) {
        let typed = signal == Signal::SIGINT && in_foreground();
        if self.status.is_none() && !typed {
            // One that has ended by itself needs no signal.
            let _ = signal::kill(id(&self.process), signal);
        }
    }
}

fn id(process: &Child) -> Pid {
    Pid::from_raw(process.id().cast_signed())
}

/// Whether what is typed on the terminal, Ctrl-C too, goes to this process and its children.
fn in_foreground() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(terminal) == Ok(getpgrp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(command: &[&str]) -> Result<Running, CommandError> {
        Running::start(&command.iter().map(OsString::from).collect::<Vec<_>>())
    }

    async fn exits(script: &str) -> u8 {
        start(&["sh", "-c", script]).unwrap().ended().await.unwrap()
    }

    #[tokio::test]
    async fn the_status_is_what_a_shell_says() {
        assert_eq!(exits("exit 0").await, 0);
        assert_eq!(exits("exit 41").await, 41);
        assert_eq!(exits("kill -TERM $$").await, 128 + 15);
    }

    #[tokio::test]
    async fn the_end_can_be_asked_for_again() {
        let mut running = start(&["sh", "-c", "exit 3"]).unwrap();
        assert_eq!(running.ended().await.unwrap(), 3);
        assert_eq!(running.ended().await.unwrap(), 3);
        running.pass_on(Signal::SIGKILL);
    }

    #[tokio::test]
    async fn a_signal_is_passed_on() {
        let mut running = start(&["sleep", "60"]).unwrap();
        running.pass_on(Signal::SIGTERM);
        assert_eq!(running.ended().await.unwrap(), 128 + 15);
    }

    #[test]
    fn what_cannot_run_says_why() {
        assert!(matches!(start(&["/no/such/command"]), Err(CommandError::NotFound(_))));
        assert!(matches!(start(&["/proc/version"]), Err(CommandError::NotExecutable { .. })));
    }
}
