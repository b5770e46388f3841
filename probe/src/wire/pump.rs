//! The thread between the two TUN devices and the cable: it reads what the sides send, and hands over
//! what is due when it is due.

use std::{
    io::{self, PipeReader, Read},
    os::fd::AsFd,
    sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
};

use nix::{
    errno::Errno as Refusal,
    poll::{PollFd, PollFlags, ppoll},
    sys::{prctl, time::TimeSpec},
};

use super::cable::{Arrival, Cable};
use crate::{
    model::{Errno, Side},
    net::tun::Tun,
    os::clock::now,
};

/// The longest IP packet.
const MAX_PACKET: usize = 65_535;

/// What the pump shares with its [`Wire`](super::Wire).
#[derive(Debug)]
pub(super) struct Shared {
    cable: Mutex<Cable>,
    /// Told of every change of a packet, and of the pump's failure.
    pub(super) changed: Condvar,
    /// Why the pump stopped by itself, if it has.
    pub(super) cut: OnceLock<String>,
}

impl Shared {
    pub(super) fn new(cable: Cable) -> Self {
        Self { cable: Mutex::new(cable), changed: Condvar::new(), cut: OnceLock::new() }
    }

    /// The cable. A rule that panicked has stopped the pump, and left the cable as it was.
    pub(super) fn cable(&self) -> MutexGuard<'_, Cable> {
        self.cable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the cable and tells whoever waits for a change.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Cable) -> T) -> T {
        let result = change(&mut self.cable());
        self.changed.notify_all();
        result
    }
}

/// Carries packets until the other end of `wake` is closed. A byte from there means that the cable has
/// changed. Where a device is taken away meanwhile, the wire is cut.
pub(super) fn run(tuns: &[Tun; 2], wake: PipeReader, shared: &Shared) {
    if let Err(error) = pump(tuns, wake, shared) {
        shared.cut.set(error.to_string()).expect("there is one pump, and it fails once");
        // Under the lock, so that nobody is between looking and waiting.
        shared.change(|_| ());
    }
}

fn pump(tuns: &[Tun; 2], mut wake: PipeReader, shared: &Shared) -> io::Result<()> {
    // A timer of this thread's may be late by 50 µs otherwise.
    prctl::set_timerslack(1)?;
    let mut buffer = vec![0; MAX_PACKET];
    loop {
        deliver(tuns, shared);
        let ready = {
            let [a, b] = tuns;
            let fds = [a.as_fd(), b.as_fd(), wake.as_fd()];
            let mut fds = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            let wait = shared.cable().next_due().map(|due| TimeSpec::from_duration(due.since(now())));
            match ppoll(&mut fds, wait, None) {
                Err(Refusal::EINTR) => continue,
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
                shared.change(|cable| cable.take(side, &buffer[..length], sent));
            }
        }
    }
}

/// Hands over everything that has arrived.
fn deliver(tuns: &[Tun; 2], shared: &Shared) {
    loop {
        let arrival = shared.cable().arrival(now());
        let Some(Arrival { number, to, bytes }) = arrival else { return };
        let before = now();
        let result = tuns[to as usize].write(&bytes);
        let after = now();
        shared.change(|cable| match result {
            Ok(()) => cable.delivered(number, before, after),
            Err(error) => cable.refused(number, Errno::of(&error).unwrap_or(Errno(Refusal::EIO as i32))),
        });
    }
}
