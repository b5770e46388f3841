//! The kernel's type information as it lies in memory: some megabytes.

use std::{ffi::c_void, fs::File, io, io::Read as _, num::NonZeroUsize, ops::Deref, ptr::NonNull, slice};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// Type information as bytes.
pub enum Bytes {
    /// The kernel's own, mapped.
    Mapped(Mapped),
    /// A copy.
    Read(Vec<u8>),
}

impl Bytes {
    /// Takes the file as it is, which the kernel allows since Linux 6.16 ("btf: Allow mmap of vmlinux btf"). To read it
    /// takes a hundred times as long: it comes page by page, into memory that has to be found first.
    pub fn of(mut file: File) -> io::Result<Self> {
        if let Some(mapped) = Mapped::of(&file) {
            return Ok(Self::Mapped(mapped));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Self::Read(bytes))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(mapped) => mapped.bytes(),
            Self::Read(bytes) => bytes,
        }
    }
}

/// A file of the kernel's that never changes.
pub struct Mapped {
    start: NonNull<c_void>,
    length: NonZeroUsize,
}

// SAFETY: nobody writes to the memory, and it belongs to the process.
#[expect(unsafe_code, reason = "a pointer is not Send by itself")]
unsafe impl Send for Mapped {}

impl Mapped {
    /// `None` where the kernel does not let it be mapped.
    fn of(file: &File) -> Option<Self> {
        let length = usize::try_from(file.metadata().ok()?.len()).ok().and_then(NonZeroUsize::new)?;
        #[expect(unsafe_code, reason = "a mapping is made by its address")]
        // SAFETY: at an address of the kernel's choice, so that nothing else is there.
        let start = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE, file, 0).ok()? };
        Some(Self { start, length })
    }

    fn bytes(&self) -> &[u8] {
        #[expect(unsafe_code, reason = "the bytes lie in memory that the kernel has made readable")]
        // SAFETY: the mapping has this length, is there as long as `self`, and the types of a running kernel do not
        // change.
        unsafe {
            slice::from_raw_parts(self.start.as_ptr().cast(), self.length.get())
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_are_the_same_either_way() {
        let path = "/sys/kernel/btf/vmlinux";
        let bytes = Bytes::of(File::open(path).unwrap()).unwrap();
        assert!(*bytes == *std::fs::read(path).unwrap());
    }
}
