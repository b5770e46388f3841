//! The appearance of a table: its width, and its colours.

use std::io::{self, Write};

use comfy_table::{Attribute, Cell, Color};

/// What the caller knows about the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// The width in columns.
    pub width: usize,
    /// Whether to use colour and emphasis.
    pub colour: bool,
}

/// The meaning of a piece of text, which determines its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Plain,
    Heading,
    /// Of secondary importance.
    Dim,
    Success,
    Error,
    Warning,
    /// A cause that came from the peer.
    Segment,
    Timer,
    Kernel,
}

impl Role {
    /// One of the sixteen standard colours, which every terminal has and its user can configure.
    fn colour(self) -> Option<u8> {
        match self {
            Self::Plain | Self::Heading => None,
            Self::Error => Some(1),
            Self::Success => Some(2),
            Self::Warning | Self::Timer => Some(3),
            Self::Kernel => Some(5),
            Self::Segment => Some(6),
            Self::Dim => Some(8),
        }
    }

    /// A table cell in this role.
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
    /// Writes escaped text in the colour of its role.
    pub fn paint(self, role: Role, text: &str, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        let text = text.as_bytes();
        if !self.colour {
            return out.write_all(text);
        }
        let parts: [&[u8]; 5] = match role.colour() {
            // All of the colours have one digit.
            Some(colour) => [b"\x1b[38;5;", &[b'0' + colour], b"m", text, b"\x1b[39m"],
            None if role == Role::Heading => [b"\x1b[1m", b"", b"", text, b"\x1b[0m"],
            None => return out.write_all(text),
        };
        parts.into_iter().try_for_each(|part| out.write_all(part))
    }
}
