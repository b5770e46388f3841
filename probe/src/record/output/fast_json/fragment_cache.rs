//! What many lines have in common: it is kept as it was written last, and copied.

use super::line::Line;

/// A piece of a line that comes again in others.
pub trait Fragment {
    /// What it says, as it is remembered.
    type Content;

    /// Where it is kept: another number for another content, if possible.
    fn slot(&self) -> usize;

    /// Whether it says the same.
    fn says(&self, content: &Self::Content) -> bool;

    /// What it says.
    fn content(&self) -> Self::Content;

    /// Writes it anew.
    fn write(&self, line: &mut Line<'_>);
}

/// BlockWriter of one kind as they were written last, in so many slots.
#[derive(Debug)]
pub struct FragmentCache<Content, const SLOTS: usize>([Option<(Content, Vec<u8>)>; SLOTS]);

impl<Content, const SLOTS: usize> Default for FragmentCache<Content, SLOTS> {
    fn default() -> Self {
        Self([const { None }; SLOTS])
    }
}

impl<Content, const SLOTS: usize> FragmentCache<Content, SLOTS> {
    /// Writes a piece, and keeps it for the lines to come.
    pub fn write(&mut self, piece: &impl Fragment<Content = Content>, line: &mut Line<'_>) {
        if self.copy(piece, line) {
            return;
        }
        let begin = line.len();
        piece.write(line);
        let place = &mut self.0[piece.slot() % SLOTS];
        let mut text = place.take().map(|(_, text)| text).unwrap_or_default();
        text.clear();
        text.extend_from_slice(line.since(begin));
        *place = Some((piece.content(), text));
    }

    /// Writes a piece only where it is kept; `false` where it is not.
    pub fn copy(&self, piece: &impl Fragment<Content = Content>, line: &mut Line<'_>) -> bool {
        match &self.0[piece.slot() % SLOTS] {
            Some((content, text)) if piece.says(content) => {
                line.bytes(text);
                true
            }
            _ => false,
        }
    }
}
