//! What the kernel has in memory, mapped.

use std::{
    ffi::c_void,
    io,
    num::NonZeroUsize,
    os::fd::AsFd,
    ptr::{self, NonNull},
};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// The memory behind a descriptor. SocketTable may write there at any time, so that nothing here makes a reference into it.
pub struct Mapped {
    start: NonNull<c_void>,
    length: NonZeroUsize,
}

// SAFETY: the memory belongs to the process, and who reads or writes it says what makes that right.
#[expect(unsafe_code, reason = "a pointer is not Send by itself")]
unsafe impl Send for Mapped {}

impl Mapped {
    /// So much of it, to be read and written by both sides.
    ///
    /// # Errors
    /// The kernel does not let it be mapped, or nothing is wanted of it.
    pub fn shared(file: impl AsFd, length: usize) -> io::Result<Self> {
        Self::of(file, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED)
    }

    /// So much of it, to be read.
    ///
    /// # Errors
    /// As for [`shared`](Self::shared).
    pub fn readable(file: impl AsFd, length: usize) -> io::Result<Self> {
        Self::of(file, length, ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE)
    }

    fn of(file: impl AsFd, length: usize, access: ProtFlags, flags: MapFlags) -> io::Result<Self> {
        let length = NonZeroUsize::new(length).ok_or(io::ErrorKind::InvalidInput)?;
        #[expect(unsafe_code, reason = "a mapping is made by its address")]
        // SAFETY: at an address of the kernel's choice, so that nothing else is there.
        let start = unsafe { mmap(None, length, access, flags, file, 0)? };
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

    /// All of it.
    pub fn all(&self) -> *const [u8] {
        ptr::slice_from_raw_parts(self.start.as_ptr().cast(), self.length.get())
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
