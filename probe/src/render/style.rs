//! How a table may look: its width, and whether it has colour.

use std::io::{self, Write};

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
    /// One of the sixteen that every terminal has, and its owner has chosen.
    fn colour(self) -> Option<u8> {
        match self {
            Self::Plain | Self::Heading => None,
            Self::Bad => Some(1),
            Self::Good => Some(2),
            Self::Remarkable | Self::Timer => Some(3),
            Self::Kernel => Some(5),
            Self::Segment => Some(6),
            Self::Faint => Some(8),
        }
    }

    /// A cell in this tone.
    pub fn cell(self, text: String) -> Cell {
        let cell = Cell::new_owned(text);
        match self.colour() {
            Some(colour) => cell.fg(Color::AnsiValue(colour)),
            None if self == Self::Heading => cell.add_attribute(Attribute::Bold),
            None => cell,
        }
    }
}

impl Style {
    /// Writes text, which has to be safe for a terminal, in this tone.
    pub fn paint(self, tone: Tone, text: &str, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        let parts: [&[u8]; 5] = match tone.colour() {
            // Each of them has one digit.
            Some(colour) if self.colour => {
                [b"\x1b[38;5;", &[b'0' + colour], b"m", text.as_bytes(), b"\x1b[39m"]
            }
            None if self.colour && tone == Tone::Heading => {
                [b"\x1b[1m", b"", b"", text.as_bytes(), b"\x1b[0m"]
            }
            _ => return out.write_all(text.as_bytes()),
        };
        parts.into_iter().try_for_each(|part| out.write_all(part))
    }
}
