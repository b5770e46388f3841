//! The layout of the per-CPU ring buffers, in memory that both sides map.
//!
//! A ring consists of chunks. Each chunk is followed by spare room for the end of the record that starts last in it, so
//! that every record is contiguous while positions have no gaps: the low bits of a position give its address. The
//! writer advances [`Cursor::reserved`], fills in the record, and then stores the [`Mark`] in front of it, which
//! contains the record's position. Until then the mark is that of an earlier round, with another position. The reader
//! advances [`Cursor::consumed`] past the records that it has read.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The size of a chunk in bytes: one page.
pub const CHUNK_SIZE: u32 = 4096;

/// The size in bytes of the longest record with its mark.
pub const MAX_RECORD: u32 = 256;

/// The size in bytes of one entry of the map that holds the rings: a chunk and the spare room after it.
pub const CHUNK_STRIDE: u32 = CHUNK_SIZE + MAX_RECORD;

/// How many bytes of a ring stay free for writers that interrupt another one between its check for room and its
/// reservation.
pub const RESERVE_MARGIN: u64 = 4 * MAX_RECORD as u64;

/// The size of all rings together in bytes, unless the reader sets another.
pub const DEFAULT_RING_BYTES: u32 = 4 << 20;

/// The positions of one ring. Each side writes to a cache line of its own.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub struct Cursor {
    /// The position after the last reserved byte.
    pub reserved: u64,
    /// The writers' cached copy of [`consumed`](Self::consumed).
    pub consumed_cache: u64,
    /// Separates the cache lines.
    pub padding: [u64; 6],
    /// The position up to which the reader has read.
    pub consumed: u64,
    /// Fills the cache line.
    pub reader_padding: [u64; 7],
}

/// What all rings share. Each field has a cache line of its own.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub struct RingControl {
    /// How many unread bytes in a ring make the writer wake the reader, or [`NO_WAKEUP`]. The reader sets it before
    /// it sleeps.
    pub wake_at: u64,
    /// Separates the cache lines.
    pub padding: [u64; 7],
    /// The number of records that found no room. One counter for all CPUs, a copy of which is in every record: a
    /// socket's next event may run on another CPU, and must show that a record is missing before it.
    pub lost: u64,
    /// Fills the cache line.
    pub lost_padding: [u64; 7],
}

/// [`RingControl::wake_at`]: the reader is awake, or wakes by itself.
pub const NO_WAKEUP: u64 = u64::MAX;

/// The word in front of a record: the low 48 bits of its position, and in the low 16 bits its length with the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(pub u64);

impl Mark {
    /// The mark of a record of this length at this position.
    #[must_use]
    #[inline(always)]
    pub const fn new(position: u64, length: u16) -> Self {
        Self(position << 16 | length as u64)
    }

    /// The length in bytes, mark included, or `None` where the mark is not that of a record at this position. The
    /// length is what memory holds: check it before use.
    #[must_use]
    #[inline(always)]
    pub const fn length_at(self, position: u64) -> Option<u16> {
        let is_there = self.0 << 48 != 0 && self.0 >> 16 == position << 16 >> 16;
        if is_there { Some(self.0 as u16) } else { None }
    }
}

/// The index of the chunk that holds this position, and the offset in it. `chunks` is the number of chunks in the ring,
/// a power of two.
#[must_use]
#[inline(always)]
pub const fn locate(position: u64, chunks: u32) -> (u32, u32) {
    (((position / CHUNK_SIZE as u64) as u32) & (chunks - 1), (position as u32) & (CHUNK_SIZE - 1))
}

const _: () = {
    assert!(size_of::<Cursor>() == 128 && size_of::<RingControl>() == 128);
    assert!(size_of::<crate::SummaryRecord>() + size_of::<Mark>() <= MAX_RECORD as usize);
};
