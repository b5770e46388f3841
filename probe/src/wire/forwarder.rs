//! The thread that moves packets between the two TUN devices and the emulator: it reads what each side sends, and
//! writes each packet when it is due.

use std::{
    io::{self, PipeReader, Read},
    os::fd::AsFd,
    sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
};

use nix::{
    errno::Errno as NixErrno,
    poll::{PollFd, PollFlags, ppoll},
    sys::{prctl, time::TimeSpec},
};

use super::emulator::{DuePacket, Emulator};
use crate::{
    model::{Errno, Side},
    net::tun::Tun,
    os::clock::now,
};

/// The longest IP packet, in bytes.
const MAX_PACKET: usize = 65_535;

/// The state that the forwarder shares with its [`Wire`](super::Wire).
#[derive(Debug)]
pub(super) struct Shared {
    emulator: Mutex<Emulator>,
    /// Notified of every change to a packet, and when the forwarder fails.
    pub(super) changed: Condvar,
    /// Why the forwarder failed, once it has.
    pub(super) failure: OnceLock<String>,
}

impl Shared {
    pub(super) fn new(emulator: Emulator) -> Self {
        Self { emulator: Mutex::new(emulator), changed: Condvar::new(), failure: OnceLock::new() }
    }

    /// Locks the emulator. A rule that panics stops the forwarder and leaves the emulator unchanged.
    pub(super) fn emulator(&self) -> MutexGuard<'_, Emulator> {
        self.emulator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the emulator and wakes the threads that wait for a change.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Emulator) -> T) -> T {
        let result = change(&mut self.emulator());
        self.changed.notify_all();
        result
    }
}

/// Forwards packets until the other end of `wake` is closed. A byte on `wake` means that the emulator has changed.
/// If a device disappears meanwhile, the forwarder stops and [`Shared::failure`] says why.
pub(super) fn run(tuns: &[Tun; 2], wake: PipeReader, shared: &Shared) {
    if let Err(error) = forward(tuns, wake, shared) {
        shared.failure.set(error.to_string()).expect("one forwarder fails once");
        // Under the lock, so that no thread is between its check and its wait.
        shared.change(|_| ());
    }
}

fn forward(tuns: &[Tun; 2], mut wake: PipeReader, shared: &Shared) -> io::Result<()> {
    // With the default slack, a timer of this thread may fire 50 µs late.
    prctl::set_timerslack(1)?;
    let mut buffer = vec![0; MAX_PACKET];
    loop {
        deliver(tuns, shared);
        let ready = {
            let [a, b] = tuns;
            let fds = [a.as_fd(), b.as_fd(), wake.as_fd()];
            let mut fds = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            let wait = shared.emulator().next_due_time().map(|due| TimeSpec::from_duration(due.since(now())));
            match ppoll(&mut fds, wait, None) {
                Err(NixErrno::EINTR) => continue,
                result => result?,
            };
            fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()))
        };
        if ready[2].contains(PollFlags::POLLIN) {
            wake.read_exact(&mut [0])?;
        } else if ready[2].contains(PollFlags::POLLHUP) {
            return Ok(());
        }
        for side in Side::BOTH {
            while let Some(length) = tuns[side as usize].read(&mut buffer)? {
                let sent = now();
                shared.change(|emulator| emulator.receive(side, &buffer[..length], sent));
            }
        }
    }
}

/// Writes every packet that is due.
fn deliver(tuns: &[Tun; 2], shared: &Shared) {
    loop {
        let due = shared.emulator().next_due_packet(now());
        let Some(DuePacket { number, to, bytes }) = due else { return };
        let before = now();
        let result = tuns[to as usize].write(&bytes);
        let after = now();
        shared.change(|emulator| match result {
            Ok(()) => emulator.mark_delivered(number, before, after),
            Err(error) => {
                emulator.mark_refused(number, Errno::of(&error).unwrap_or(Errno(NixErrno::EIO as i32)));
            }
        });
    }
}
