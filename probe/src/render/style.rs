//! How a table may look: its width, and whether it has colour.

use comfy_table::{Attribute, Cell, Color};

/// What the caller knows of the place where a table is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// In columns.
    pub width: usize,
    /// Whether colour and emphasis are wanted.
    pub colour: bool,
}

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Heading,
    /// Of second rank.
    Faint,
    Good,
    Bad,
    Remarkable,
    /// What came from the peer.
    Segment,
    Timer,
    Kernel,
}

impl Tone {
    /// From the sixteen that every terminal has, and its owner has chosen.
    fn colour(self) -> Option<Color> {
        match self {
            Self::Plain | Self::Heading => None,
            Self::Faint => Some(Color::DarkGrey),
            Self::Good => Some(Color::DarkGreen),
            Self::Bad => Some(Color::DarkRed),
            Self::Remarkable | Self::Timer => Some(Color::DarkYellow),
            Self::Segment => Some(Color::DarkCyan),
            Self::Kernel => Some(Color::DarkMagenta),
        }
    }

    /// A cell in this tone.
    pub fn cell(self, text: String) -> Cell {
        let cell = Cell::new_owned(text);
        match self.colour() {
            Some(colour) => cell.fg(colour),
            None if self == Self::Heading => cell.add_attribute(Attribute::Bold),
            None => cell,
        }
    }
}
