//! The running kernel as the commands want it, and the signals that end a run.

use tokio::signal::unix::{SignalKind, signal};

use super::exit::{Exit, Failure};
use crate::{
    cli::{BackendChoice, Common},
    model::Backend,
    net::host,
    source::live::{Live, LiveOptions},
};

/// Attaches to the kernel with the flags that every command takes.
pub fn attach(common: &Common) -> Result<Live, Failure> {
    let options = LiveOptions {
        backend: common.backend.map(|choice| match choice {
            BackendChoice::TpBtf => Backend::TpBtf,
            BackendChoice::Tracepoint => Backend::Tracepoint,
        }),
        ring_bytes: None,
        without_btf: common.no_btf,
        kernel_log: common.verbose >= 2,
    };
    Live::attach(&options, host::facts()).map_err(Failure::host)
}

/// Follows `work` to its end, or to Ctrl-C where that comes first.
pub async fn unless_interrupted(work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    // Before the first line is written: whoever reads it may send a signal at once.
    let listen = |kind| signal(kind).map_err(|error| Failure::unexpected(format!("signals: {error}")));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    tokio::select! {
        done = work => done,
        _ = interrupt.recv() => Ok(Exit::Interrupted),
        _ = terminate.recv() => Ok(Exit::Interrupted),
        _ = hang_up.recv() => Ok(Exit::Interrupted),
    }
}
