//! What tests here have in common.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Looks again and again until something is so, and fails where it is not by the deadline.
///
/// For whatever follows from closing a descriptor: a child process that another test starts at this moment
/// holds it too until it executes its program, and neither it nor the kernel says when that is.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::yield_now();
    }
}
