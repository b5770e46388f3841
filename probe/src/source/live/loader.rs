//! A loader of BPF objects that leaves the kernel's types alone.

use std::thread;

use aya::EbpfLoader;
use log::debug;
use nix::{
    sched::{CloneFlags, unshare},
    unistd::chroot,
};

/// A directory in which no path leads to the kernel's types.
const ELSEWHERE: &str = "/proc/self/fdinfo";

/// Makes a loader. aya reads and parses all of the kernel's types for each, for relocations that rustc does not emit,
/// and cannot be told not to: that takes twice as long as everything else, and some thirty megabytes. So it is made
/// where it finds none: in a thread with a root directory of its own.
pub fn new() -> EbpfLoader<'static> {
    let made = thread::spawn(|| {
        let moved = unshare(CloneFlags::CLONE_FS).and_then(|()| chroot(ELSEWHERE));
        if let Err(errno) = moved {
            debug!("the loader reads the kernel's types, since it cannot be kept from it: {errno}");
        }
        EbpfLoader::new()
    });
    made.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
