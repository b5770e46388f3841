//! The memory of this process.

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
