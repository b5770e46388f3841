//! What is shown, on its way out.

use std::io::{self, Write};

/// How much is written at once: larger pieces cost less a byte up to about here. In a file each begins at a multiple of its
/// length, so that the kernel can take it as it is, in one folio: from anywhere else on, it takes a quarter more time.
pub const BLOCK_SIZE: usize = 1 << 17;

/// Text that is made in memory and written in large pieces, so that nothing is gained by a buffer behind it.
///
/// What is there when this goes is written, too: whatever broke the stream off, what was shown before it counts.
pub struct BlockWriter {
    text: Vec<u8>,
    /// So much of the present piece is written already.
    begun: usize,
    out: Box<dyn Write>,
}

impl BlockWriter {
    /// None so far, to be written there.
    pub fn new(out: Box<dyn Write>) -> Self {
        Self { text: Vec::new(), begun: 0, out }
    }

    /// Adds what this makes.
    ///
    /// # Errors
    /// Its own, and those of writing.
    pub fn add(&mut self, make: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        make(&mut self.text)?;
        let whole = (self.begun + self.text.len()) / BLOCK_SIZE * BLOCK_SIZE;
        if whole == 0 { Ok(()) } else { self.write(whole - self.begun) }
    }

    /// Writes all there is, for whoever waits for it.
    ///
    /// # Errors
    /// Those of writing. What could not be written is given up.
    pub fn flush(&mut self) -> io::Result<()> {
        self.write(self.text.len())?;
        self.out.flush()
    }

    /// Writes so much of it.
    fn write(&mut self, length: usize) -> io::Result<()> {
        let written = self.out.write_all(&self.text[..length]);
        self.text.drain(..length);
        self.begun = (self.begun + length) % BLOCK_SIZE;
        written
    }
}

impl Drop for BlockWriter {
    fn drop(&mut self) {
        // Whoever needs to know has flushed.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    /// The lengths of the pieces that were written.
    #[derive(Clone, Default)]
    struct Lengths(Rc<RefCell<Vec<usize>>>);

    impl Write for Lengths {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().push(piece.len());
            Ok(piece.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line(pieces: &mut BlockWriter, length: usize) {
        pieces.add(|text| text.write_all(&vec![b'x'; length])).unwrap();
    }

    #[test]
    fn it_is_written_when_there_is_enough_or_it_is_asked_for() {
        let written = Lengths::default();
        let mut pieces = BlockWriter::new(Box::new(written.clone()));
        line(&mut pieces, 1);
        assert!(written.0.borrow().is_empty());
        line(&mut pieces, BLOCK_SIZE);
        assert_eq!(*written.0.borrow(), [BLOCK_SIZE]);
        line(&mut pieces, 2);
        pieces.flush().unwrap();
        assert_eq!(*written.0.borrow(), [BLOCK_SIZE, 3]);
    }

    #[test]
    fn after_a_flush_it_goes_on_to_where_a_piece_begins() {
        let written = Lengths::default();
        let mut pieces = BlockWriter::new(Box::new(written.clone()));
        line(&mut pieces, 5);
        pieces.flush().unwrap();
        line(&mut pieces, BLOCK_SIZE - 6);
        assert_eq!(*written.0.borrow(), [5]);
        line(&mut pieces, 2 * BLOCK_SIZE);
        assert_eq!(*written.0.borrow(), [5, 2 * BLOCK_SIZE - 5]);
        drop(pieces);
        assert_eq!(*written.0.borrow(), [5, 2 * BLOCK_SIZE - 5, BLOCK_SIZE - 1]);
    }

    #[test]
    fn what_is_left_when_it_breaks_off_is_written() {
        let written = Lengths::default();
        line(&mut BlockWriter::new(Box::new(written.clone())), 3);
        assert_eq!(*written.0.borrow(), [3]);
    }
}
