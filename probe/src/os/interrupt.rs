//! Interrupting a blocking system call with a signal.

use std::{
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use nix::{
    libc,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
};

/// Ignored by default (signal(7)), so that a handler for it affects nothing else.
const SIGNAL: Signal = Signal::SIGURG;
/// The interval between signals: one may arrive before the call blocks.
const INTERVAL: Duration = Duration::from_millis(5);

/// Runs `call` on another thread and `meanwhile` on this one; when `meanwhile` has returned, interrupts `call` until it
/// returns. Returns both results.
///
/// # Errors
/// sigaction(2)'s.
///
/// # Panics
/// If `call` panics.
pub fn interrupted<T: Send, B>(
    call: impl FnOnce() -> T + Send,
    meanwhile: impl FnOnce() -> B,
) -> nix::Result<(T, B)> {
    handle()?;
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        let worker = scope.spawn(move || {
            // The receiver outlives this thread.
            sender.send(own_id()).ok();
            let result = call();
            drop(sender);
            result
        });
        let thread = receiver.recv().ok();
        let result = meanwhile();
        while let Some(thread) = thread
            && receiver.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout)
        {
            send(thread);
        }
        Ok((worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), result))
    })
}

extern "C" fn no_op(_: libc::c_int) {}

/// Installs a handler without SA_RESTART, so that interrupted calls return EINTR.
#[expect(unsafe_code, reason = "a signal handler must be async-signal-safe; this one does nothing")]
fn handle() -> nix::Result<()> {
    let action = SigAction::new(SigHandler::Handler(no_op), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing, which is async-signal-safe.
    unsafe { sigaction(SIGNAL, &action) }.map(drop)
}

#[expect(unsafe_code, reason = "nix has pthread_self behind a feature that nothing else needs")]
fn own_id() -> libc::pthread_t {
    // SAFETY: it has no precondition.
    unsafe { libc::pthread_self() }
}

/// Sends the signal to a thread that has not been joined.
#[expect(unsafe_code, reason = "std has no way to signal a thread")]
fn send(thread: libc::pthread_t) {
    // SAFETY: the thread is joined only after the last call, so its id is valid even if it has ended, and the signal has a
    // handler. The call fails only for a thread that has ended.
    unsafe { libc::pthread_kill(thread, SIGNAL as libc::c_int) };
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixStream};

    use nix::{errno::Errno, unistd::read};

    use super::*;

    #[test]
    fn a_call_that_blocks_forever_is_interrupted() {
        let (idle, mut other) = UnixStream::pair().unwrap();
        let (read, result) = interrupted(|| read(&idle, &mut [0]), || 7).unwrap();
        assert_eq!((read, result), (Err(Errno::EINTR), 7));
        drop(idle);
        assert_eq!(other.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_call_that_has_returned_is_not_interrupted() {
        assert_eq!(interrupted(|| 1, || 2), Ok((1, 2)));
    }
}
