//! A map's memory, as the kernel side sees it.

use std::{ffi::c_void, io, num::NonZeroUsize, os::fd::AsFd, ptr::NonNull};

use aya::{Ebpf, maps::Map};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::source::live::LiveError;

/// The memory of an array map. It is shared with programs that may write at any time, so that nothing here makes a
/// reference into it.
pub struct Mapped {
    start: NonNull<c_void>,
    length: NonZeroUsize,
}

// SAFETY: the memory belongs to the process, and who reads or writes it says what makes that right.
#[expect(unsafe_code, reason = "a pointer is not Send by itself")]
unsafe impl Send for Mapped {}

impl Mapped {
    /// Maps the array of this name, so much of it.
    pub fn of(ebpf: &Ebpf, name: &'static str, length: usize) -> Result<Self, LiveError> {
        let Some(Map::Array(map)) = ebpf.map(name) else { return Err(LiveError::NoPart(name)) };
        let length = NonZeroUsize::new(length).ok_or(LiveError::NoPart(name))?;
        let failed = |errno| LiveError::Ring(io::Error::from(errno));
        #[expect(unsafe_code, reason = "a mapping is made by its address")]
        // SAFETY: at an address of the kernel's choice, so that nothing else is there.
        let start = unsafe {
            let (read, write) = (ProtFlags::PROT_READ, ProtFlags::PROT_WRITE);
            mmap(None, length, read | write, MapFlags::MAP_SHARED, map.fd().as_fd(), 0).map_err(failed)?
        };
        Ok(Self { start, length })
    }

    /// The address of a `T` at this place.
    ///
    /// # Panics
    /// It does not lie within.
    pub fn at<T>(&self, offset: usize) -> *mut T {
        assert!(offset + size_of::<T>() <= self.length.get(), "{offset} lies within {}", self.length);
        self.start.as_ptr().cast::<u8>().wrapping_add(offset).cast()
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "a mapping is undone by its address")]
        // SAFETY: the mapping made above, which nothing refers to any more.
        let undone = unsafe { munmap(self.start, self.length.get()) };
        debug_assert!(undone.is_ok());
    }
}
