//! The bytes of the kernel's type information: some megabytes.

use std::{
    fs::File,
    io::{self, Read as _},
    ops::Deref,
};

use crate::source::live::mapped::ConstantMemory;

/// Type information as bytes.
pub enum Bytes {
    /// The kernel's own memory, mapped.
    Mapped(ConstantMemory),
    /// A copy.
    Read(Vec<u8>),
}

impl Bytes {
    /// Maps the file, which the kernel allows since Linux 6.16 ("btf: Allow mmap of vmlinux btf"), or else reads it. Reading
    /// takes a hundred times as long: it copies page by page, into memory that has to be allocated first.
    ///
    /// # Errors
    /// The file can be neither mapped nor read.
    pub fn of(mut file: File) -> io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if let Ok(mapped) = ConstantMemory::map(&file, length) {
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
            #[expect(unsafe_code, reason = "the bytes are in the kernel's memory, mapped")]
            // SAFETY: valid while the mapping exists, and the types of a running kernel do not change.
            Self::Mapped(mapped) => unsafe { &*mapped.bytes() },
            Self::Read(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_and_read_bytes_are_equal() {
        let path = "/sys/kernel/btf/vmlinux";
        let bytes = Bytes::of(File::open(path).unwrap()).unwrap();
        assert!(*bytes == *std::fs::read(path).unwrap());
    }
}
