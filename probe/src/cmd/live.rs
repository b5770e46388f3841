//! The running kernel as the commands want it, and the signals that end a run.

use nix::sys::signal::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

use super::exit::{Exit, Failure};
use crate::{
    cli::{BackendChoice, Common},
    model::Backend,
    net::host,
    source::live::{Live, LiveOptions},
};

/// What the flags of every command ask for.
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

/// Attaches to the kernel.
pub fn attach(options: &LiveOptions) -> Result<Live, Failure> {
    Live::attach(options, host::facts()).map_err(Failure::host)
}

/// The signals with which a process is asked to end.
pub struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hang_up: unix::Signal,
}

impl Signals {
    /// Takes them from now on: before the first line is written, since whoever reads it may send one at once.
    pub fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::unexpected(format!("signals: {error}")));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.terminate.recv() => Signal::SIGTERM,
            _ = self.hang_up.recv() => Signal::SIGHUP,
        }
    }
}

/// Follows `work` to its end, or to Ctrl-C where that comes first.
pub async fn unless_interrupted(work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()?;
    tokio::select! {
        done = work => done,
        _ = signals.next() => Ok(Exit::Interrupted),
    }
}
