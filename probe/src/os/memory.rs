//! How this process's allocator uses memory.

/// Blocks of this size and more are mapped and unmapped one by one.
#[cfg(target_env = "gnu")]
const MMAP_THRESHOLD: nix::libc::c_int = 1 << 20;

/// Makes the allocator mmap(2) large blocks for good. Otherwise glibc raises its threshold when the first such block is
/// freed, and a growing table leaves the space of all its earlier sizes behind in the heap.
pub fn mmap_large_blocks() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "nix does not have this call")]
    // SAFETY: the call takes no pointer and may be made at any time.
    unsafe {
        nix::libc::mallopt(nix::libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD);
    }
}

/// Returns free heap memory to the system. The allocator would keep what the start needed, which is never needed again.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "nix does not have this call")]
    // SAFETY: the call takes no pointer and may be made at any time.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
