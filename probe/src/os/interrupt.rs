//! Interrupting a system call that waits, by a signal.

use std::{
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use nix::{
    libc,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
};

/// Ignored by default (signal(7)), so that a handler for it changes nothing for anybody else.
const SIGNAL: Signal = Signal::SIGURG;
/// How long a signal may take before another is sent: the first may have come before the call began to wait.
const PAUSE: Duration = Duration::from_millis(5);

/// Runs `call` on a thread of its own, `begun` meanwhile on this one, and once that returns interrupts `call` until it
/// returns too. Returns what both returned.
///
/// # Errors
/// sigaction(2)'s.
///
/// # Panics
/// With `call`'s own panic.
pub fn interrupted<T: Send, B>(
    call: impl FnOnce() -> T + Send,
    begun: impl FnOnce() -> B,
) -> nix::Result<(T, B)> {
    handle()?;
    let (say, heard) = channel();
    thread::scope(|scope| {
        let worker = scope.spawn(move || {
            // The receiver outlives this thread.
            say.send(own_id()).ok();
            let result = call();
            drop(say);
            result
        });
        let thread = heard.recv().ok();
        let begun = begun();
        while let Some(thread) = thread
            && heard.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout)
        {
            send(thread);
        }
        Ok((worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), begun))
    })
}

extern "C" fn nothing(_: libc::c_int) {}

/// Has a handler for the signal, without SA_RESTART, so that calls give EINTR.
#[expect(unsafe_code, reason = "a handler may do few things: this one does none")]
fn handle() -> nix::Result<()> {
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing, which is safe at any moment.
    unsafe { sigaction(SIGNAL, &action) }.map(drop)
}

#[expect(unsafe_code, reason = "nix has pthread_self behind a feature that nothing else needs")]
fn own_id() -> libc::pthread_t {
    // SAFETY: it has no precondition.
    unsafe { libc::pthread_self() }
}

/// Sends it to a thread that has not been joined.
#[expect(unsafe_code, reason = "std has no way to signal a thread")]
fn send(thread: libc::pthread_t) {
    // SAFETY: the thread is joined after the last call only, so that its id is valid even if it has ended; the signal has
    // a handler. It fails only for a thread that has ended.
    unsafe { libc::pthread_kill(thread, SIGNAL as libc::c_int) };
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixStream};

    use nix::{errno::Errno, unistd::read};

    use super::*;

    #[test]
    fn a_call_that_waits_forever_returns() {
        let (quiet, mut other) = UnixStream::pair().unwrap();
        let (read, began) = interrupted(|| read(&quiet, &mut [0]), || 7).unwrap();
        assert_eq!((read, began), (Err(Errno::EINTR), 7));
        drop(quiet);
        assert_eq!(other.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_call_that_has_returned_is_left_alone() {
        assert_eq!(interrupted(|| 1, || 2), Ok((1, 2)));
    }
}
