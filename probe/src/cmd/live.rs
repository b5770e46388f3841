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
    tokio::select! {
        done = work => done,
        signal = interrupted() => signal.map(|()| Exit::Interrupted),
    }
}

/// Waits for Ctrl-C, or for whoever else wants the process to end.
async fn interrupted() -> Result<(), Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::unexpected(format!("signals: {error}")));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}
