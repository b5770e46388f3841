//! How the records lie between both sides: in a ring for each CPU, of memory that both have mapped.
//!
//! A ring is a number of chunks, each with room behind it for the end of the record that begins last in it. So a record
//! lies in one piece, and positions count on without gaps: what lies at one is found by its bits alone. Whoever writes
//! moves [`Cursor::reserved`] on, fills the record, and then writes the word before it, which says of what position the
//! record is: until then, there lies that of a round before. The reader moves [`Cursor::taken`] on behind what it has
//! taken.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How many bytes of a ring lie together: a page.
pub const CHUNK: u32 = 4096;

/// Room for the longest record, with the word before it.
pub const LONGEST: u32 = 256;

/// Of so many bytes an entry of the map with the rings is made.
pub const STRIDE: u32 = CHUNK + LONGEST;

/// How much stays free for what interrupts one who has looked for room, and has not reserved it yet.
pub const MARGIN: u64 = 4 * LONGEST as u64;

/// The size of all rings together in bytes, unless the reader asks for another.
pub const RING_BYTES: u32 = 4 << 20;

/// What both sides know of a ring, an entry for each. Each side writes a cache line of its own.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub struct Cursor {
    /// Up to where room has been given away.
    pub reserved: u64,
    /// [`taken`](Self::taken), when the kernel side looked last.
    pub seen: u64,
    /// Nothing.
    pub apart: [u64; 6],
    /// Up to where the reader has taken what was there.
    pub taken: u64,
    /// Nothing.
    pub rest: [u64; 7],
}

/// What both sides know of all rings.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub struct Shared {
    /// How many bytes must wait in a ring for the reader to be woken; [`AWAKE`]. The reader says it before it sleeps.
    pub wake_at: u64,
    /// Nothing.
    pub apart: [u64; 7],
    /// Records that found no room. One count for all CPUs, which is in every record: a socket's next event may run on
    /// another CPU, and has to show that one is missing before it.
    pub lost: u64,
    /// Nothing.
    pub rest: [u64; 7],
}

/// [`Shared::wake_at`]: nobody has to be woken.
pub const AWAKE: u64 = u64::MAX;

/// The word before a record: where it begins, and its length with the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(pub u64);

impl Mark {
    /// Of the record at this position.
    #[must_use]
    #[inline(always)]
    pub const fn new(position: u64, length: u16) -> Self {
        Self(position << 16 | length as u64)
    }

    /// The length, if it is of the record at this position.
    #[must_use]
    #[inline(always)]
    pub const fn length_at(self, position: u64) -> Option<u16> {
        let is_there = self.0 << 48 != 0 && self.0 >> 16 == position << 16 >> 16;
        if is_there { Some(self.0 as u16) } else { None }
    }
}

/// In which chunk of a ring of so many the position lies (a power of two), and at what place in it.
#[must_use]
#[inline(always)]
pub const fn place(position: u64, chunks: u32) -> (u32, u32) {
    (((position / CHUNK as u64) as u32) & (chunks - 1), (position as u32) & (CHUNK - 1))
}

const _: () = {
    assert!(size_of::<Cursor>() == 128 && size_of::<Shared>() == 128);
    assert!(size_of::<crate::SummaryRecord>() + size_of::<Mark>() <= LONGEST as usize);
};
