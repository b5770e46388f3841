//! Writes the output in large, aligned blocks.

use std::io::{self, Write};

/// The size of a block, in bytes. Larger blocks cost less per byte up to about here. In a file, each starts at a multiple of
/// its size, so that the kernel can store it in one folio: at any other offset, a write takes a quarter more time.
pub const BLOCK_SIZE: usize = 1 << 17;

/// Gathers text in memory and writes it in blocks. Another buffer below it gains nothing.
///
/// Dropping it writes the remaining text, however the stream ended.
pub struct BlockWriter {
    text: Vec<u8>,
    /// The number of bytes of the current block that a flush has written.
    flushed: usize,
    out: Box<dyn Write>,
}

impl BlockWriter {
    /// A writer to `out`.
    pub fn new(out: Box<dyn Write>) -> Self {
        Self { text: Vec::new(), flushed: 0, out }
    }

    /// Appends the text that `make` appends to its argument, and writes the blocks that are full.
    ///
    /// # Errors
    /// Those of `make` and of writing.
    pub fn append(&mut self, make: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        make(&mut self.text)?;
        let full = (self.flushed + self.text.len()) / BLOCK_SIZE * BLOCK_SIZE;
        if full == 0 { Ok(()) } else { self.write(full - self.flushed) }
    }

    /// Writes everything.
    ///
    /// # Errors
    /// Those of writing. What could not be written is dropped.
    pub fn flush(&mut self) -> io::Result<()> {
        self.write(self.text.len())?;
        self.out.flush()
    }

    /// Writes the first `length` bytes.
    fn write(&mut self, length: usize) -> io::Result<()> {
        let written = self.out.write_all(&self.text[..length]);
        self.text.drain(..length);
        self.flushed = (self.flushed + length) % BLOCK_SIZE;
        written
    }
}

impl Drop for BlockWriter {
    fn drop(&mut self) {
        // A caller that needs the result has flushed.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    /// The lengths of the writes.
    #[derive(Clone, Default)]
    struct Lengths(Rc<RefCell<Vec<usize>>>);

    impl Write for Lengths {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().push(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line(writer: &mut BlockWriter, length: usize) {
        writer.append(|text| text.write_all(&vec![b'x'; length])).unwrap();
    }

    #[test]
    fn a_full_block_or_a_flush_is_written() {
        let written = Lengths::default();
        let mut writer = BlockWriter::new(Box::new(written.clone()));
        line(&mut writer, 1);
        assert!(written.0.borrow().is_empty());
        line(&mut writer, BLOCK_SIZE);
        assert_eq!(*written.0.borrow(), [BLOCK_SIZE]);
        line(&mut writer, 2);
        writer.flush().unwrap();
        assert_eq!(*written.0.borrow(), [BLOCK_SIZE, 3]);
    }

    #[test]
    fn blocks_stay_aligned_after_a_flush() {
        let written = Lengths::default();
        let mut writer = BlockWriter::new(Box::new(written.clone()));
        line(&mut writer, 5);
        writer.flush().unwrap();
        line(&mut writer, BLOCK_SIZE - 6);
        assert_eq!(*written.0.borrow(), [5]);
        line(&mut writer, 2 * BLOCK_SIZE);
        assert_eq!(*written.0.borrow(), [5, 2 * BLOCK_SIZE - 5]);
        drop(writer);
        assert_eq!(*written.0.borrow(), [5, 2 * BLOCK_SIZE - 5, BLOCK_SIZE - 1]);
    }

    #[test]
    fn dropping_the_writer_writes_what_is_left() {
        let written = Lengths::default();
        line(&mut BlockWriter::new(Box::new(written.clone())), 3);
        assert_eq!(*written.0.borrow(), [3]);
    }
}
