//! The memory of this process.

/// Tables of this size and more are taken from the system, and given back to it, one by one.
#[cfg(target_env = "gnu")]
const LARGE: nix::libc::c_int = 1 << 20;

/// Keeps large blocks out of the allocator's own. It would begin to keep them when the first is let go, and a table that has
/// grown in there leaves the room of all its smaller selves behind.
pub fn keep_large_apart() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "nix does not have this call")]
    // SAFETY: it takes no pointer, and may be called at any time.
    unsafe {
        nix::libc::mallopt(nix::libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Gives memory that is free back to the system. The allocator would keep what a start takes, for more of the same that
/// never comes.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "nix does not have this call")]
    // SAFETY: it takes no pointer, and may be called at any time.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
