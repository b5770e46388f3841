//! A loader of BPF objects that does not read the kernel's types.

use std::thread;

use aya::EbpfLoader;
use log::debug;
use nix::{
    sched::{CloneFlags, unshare},
    unistd::chroot,
};

/// A directory in which no path leads to the kernel's types.
const EMPTY_ROOT: &str = "/proc/self/fdinfo";

/// Makes a loader. aya reads and parses all of the kernel's types for each loader, for relocations that rustc does not
/// emit, and has no option to skip that. It takes twice as long as everything else, and some thirty megabytes. So the
/// loader is made in a thread with a root directory of its own, in which aya finds no types.
pub fn new() -> EbpfLoader<'static> {
    let thread = thread::spawn(|| {
        let moved = unshare(CloneFlags::CLONE_FS).and_then(|()| chroot(EMPTY_ROOT));
        if let Err(errno) = moved {
            debug!(
                "loading takes longer, since aya parses the kernel's types: cannot change the root directory: {errno}"
            );
        }
        EbpfLoader::new()
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
