//! The limit of open files (RLIMIT_NOFILE).

use std::sync::OnceLock;

use log::debug;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// The soft limit with which this process started.
static ORIGINAL: OnceLock<rlim_t> = OnceLock::new();

/// The number of files that this process may have open.
#[must_use]
pub fn limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

/// Raises the soft limit to the hard one: maps, programs, namespaces and test sockets are descriptors, and the usual soft limit
/// of 1,024 is for programs that call select(2).
pub fn raise_limit() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    ORIGINAL.get_or_init(|| soft);
    set_soft(hard);
}

/// Starts a child process with the soft limit that this process started with: the child may call select(2).
pub(crate) fn with_original_limit<T>(start: impl FnOnce() -> T) -> T {
    let Some(original) = ORIGINAL.get() else { return start() };
    let raised = limit();
    set_soft(*original);
    let started = start();
    set_soft(raised);
    started
}

fn set_soft(soft: rlim_t) {
    let set = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard));
    if let Err(errno) = set {
        debug!("cannot set the limit of open files to {soft}: {errno}");
    }
}
