//! Attaching to the running kernel, and the signals that end a command.

use nix::sys::signal::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

use super::exit::{Exit, Failure};
use crate::{
    cli::{BackendChoice, Common},
    model::Backend,
    net::host,
    source::live::{Live, LiveOptions},
};

/// The options set by the flags of every command.
pub fn options(common: &Common) -> LiveOptions {
    LiveOptions {
        backend: common.backend.map(|choice| match choice {
            BackendChoice::TpBtf => Backend::TpBtf,
            BackendChoice::Tracepoint => Backend::Tracepoint,
        }),
        without_btf: common.no_btf,
        kernel_log: common.verbose >= 2,
        ..LiveOptions::default()
    }
}

/// Loads and attaches the BPF programs.
pub fn attach(options: &LiveOptions) -> Result<Live, Failure> {
    Live::attach(options, host::facts()).map_err(Failure::host)
}

/// SIGINT, SIGTERM and SIGHUP, which end a command.
pub struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hang_up: unix::Signal,
}

impl Signals {
    /// Handles them from now on. To be called before the first line is printed, since its reader may send one at once.
    pub fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::unexpected(format!("cannot handle signals: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.terminate.recv() => Signal::SIGTERM,
            _ = self.hang_up.recv() => Signal::SIGHUP,
        }
    }
}

/// Runs `work` until it ends or a signal arrives.
pub async fn unless_interrupted(work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()?;
    tokio::select! {
        done = work => done,
        _ = signals.next() => Ok(Exit::Interrupted),
    }
}
