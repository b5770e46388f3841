//! System calls by the numbers of this architecture. On one that is not listed, no number is recognised.

const CLOSE: Option<u16> = by_architecture(3, 57);
const SHUTDOWN: Option<u16> = by_architecture(48, 210);

const fn by_architecture(x86_64: u16, aarch64: u16) -> Option<u16> {
    if cfg!(bpf_target_arch = "x86_64") {
        Some(x86_64)
    } else if cfg!(bpf_target_arch = "aarch64") {
        Some(aarch64)
    } else {
        None
    }
}

/// Whether it is close(2) or shutdown(2).
#[inline(always)]
pub fn is_close_or_shutdown(number: u16) -> bool {
    CLOSE == Some(number) || SHUTDOWN == Some(number)
}
