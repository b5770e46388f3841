//! Memory of the kernel, mapped into this process.

use std::{
    ffi::c_void,
    io,
    num::NonZeroUsize,
    os::fd::AsFd,
    ptr::{self, NonNull},
    sync::atomic::AtomicU64,
};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// A mapping of a file descriptor.
struct Mapping {
    start: NonNull<c_void>,
    length: NonZeroUsize,
}

// SAFETY: the mapping belongs to the process and not to a thread. The types below say how it may be accessed.
#[expect(unsafe_code, reason = "a pointer is not Send by itself")]
unsafe impl Send for Mapping {}

impl Mapping {
    fn of(file: impl AsFd, length: usize, access: ProtFlags, flags: MapFlags) -> io::Result<Self> {
        let length = NonZeroUsize::new(length).ok_or(io::ErrorKind::InvalidInput)?;
        #[expect(unsafe_code, reason = "mmap returns an address")]
        // SAFETY: the kernel chooses the address, so that nothing else is there.
        let start = unsafe { mmap(None, length, access, flags, file, 0)? };
        Ok(Self { start, length })
    }

    /// The bytes in this range, or `None` where it is not within the mapping.
    fn range(&self, offset: usize, length: usize) -> Option<*const [u8]> {
        let end = offset.checked_add(length)?;
        (end <= self.length.get()).then(|| {
            let start = self.start.as_ptr().cast::<u8>().wrapping_add(offset);
            ptr::slice_from_raw_parts(start.cast_const(), length)
        })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "munmap takes an address")]
        // SAFETY: the mapping made above, to which nothing refers any more.
        let unmapped = unsafe { munmap(self.start, self.length.get()) };
        debug_assert!(unmapped.is_ok());
    }
}

/// Memory that both sides read and write at any time: a mapped BPF map. So it provides atomic words and raw ranges, and
/// no references to data.
pub struct SharedMemory(Mapping);

impl SharedMemory {
    /// Maps the first `length` bytes.
    ///
    /// # Errors
    /// The kernel refuses the mapping, or `length` is 0.
    pub fn map(file: impl AsFd, length: usize) -> io::Result<Self> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        Mapping::of(file, length, access, MapFlags::MAP_SHARED).map(Self)
    }

    /// The word at this offset.
    ///
    /// # Panics
    /// The offset is not within the mapping, or not a multiple of 8.
    pub fn word(&self, offset: usize) -> &AtomicU64 {
        let word =
            self.0.range(offset, size_of::<u64>()).filter(|_| offset.is_multiple_of(align_of::<u64>()));
        let Some(word) = word else { panic!("no word at offset {offset} of {} bytes", self.0.length) };
        #[expect(unsafe_code, reason = "the word is in memory shared with the kernel")]
        // SAFETY: within the mapping, and aligned, since a mapping starts at a page. It is mapped for as long as `self`
        // is borrowed, and both sides access it by whole words.
        unsafe {
            AtomicU64::from_ptr(word.cast::<u64>().cast_mut())
        }
    }

    /// The bytes in this range, or `None` where it is not within the mapping. Valid while `self` exists. The caller has to
    /// know that the other side does not write there while it reads them.
    pub fn bytes(&self, offset: usize, length: usize) -> Option<*const [u8]> {
        self.0.range(offset, length)
    }
}

/// Memory that never changes.
pub struct ConstantMemory(Mapping);

impl ConstantMemory {
    /// Maps the first `length` bytes.
    ///
    /// # Errors
    /// The kernel refuses the mapping, or `length` is 0.
    pub fn map(file: impl AsFd, length: usize) -> io::Result<Self> {
        Mapping::of(file, length, ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE).map(Self)
    }

    /// All bytes of the mapping. Valid while `self` exists.
    pub fn bytes(&self) -> *const [u8] {
        ptr::slice_from_raw_parts(self.0.start.as_ptr().cast(), self.0.length.get())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    const LENGTH: usize = 4096;

    fn shared() -> SharedMemory {
        let file = tempfile::tempfile().unwrap();
        file.set_len(LENGTH as u64).unwrap();
        SharedMemory::map(file, LENGTH).unwrap()
    }

    #[test]
    fn a_range_beyond_the_mapping_is_refused() {
        let shared = shared();
        assert!(shared.bytes(LENGTH - 8, 8).is_some());
        assert!(shared.bytes(LENGTH - 8, 9).is_none());
        assert!(shared.bytes(LENGTH + 1, 0).is_none());
        assert!(shared.bytes(8, usize::MAX).is_none());
    }

    #[test]
    fn words_are_shared() {
        let shared = shared();
        shared.word(LENGTH - 8).store(7, Ordering::Relaxed);
        assert_eq!(shared.word(LENGTH - 8).load(Ordering::Relaxed), 7);
    }

    #[test]
    #[should_panic(expected = "no word at offset 4096 of 4096 bytes")]
    fn a_word_beyond_the_mapping_is_refused() {
        shared().word(LENGTH);
    }

    #[test]
    #[should_panic(expected = "no word at offset 4 of 4096 bytes")]
    fn an_unaligned_word_is_refused() {
        shared().word(4);
    }
}
