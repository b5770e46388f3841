//! Waiting for a descriptor, with a deadline.

use std::{io, os::fd::BorrowedFd, time::Instant};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::time::TimeSpec,
};

/// Waits until `fd` is ready for one of `events`, or has an error or a hang-up; false after the deadline.
///
/// # Errors
/// ppoll(2)'s.
pub(super) fn wait_ready(fd: BorrowedFd<'_>, events: PollFlags, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match ppoll(&mut [PollFd::new(fd, events)], Some(TimeSpec::from_duration(left)), None) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
    }
}
