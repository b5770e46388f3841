//! Helpers of tests.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Polls a condition until it holds; panics with `what` after a deadline.
///
/// For effects of closing a descriptor: a child process that another test is starting holds a copy until it calls
/// execve(2), and nothing announces that.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        thread::yield_now();
    }
}
