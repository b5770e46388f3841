//! The container of a recording: frames, and the records in them. `docs/recordings.md` describes it byte by byte.
//!
//! A file is [`MAGIC`] and then frames. A frame is a header of [`HEADER_LEN`] bytes and a payload of records. A segment is
//! a run of frames of which the first begins with the context that decoding needs, so that a reader can start at any
//! segment. All integers are little-endian.
//!
//! Every byte is checked: the magic by comparison, the payload by the CRC-32 in its header, and the header by its own
//! CRC-32. Each header names the CRC of the header before it, so that a frame cannot be removed, repeated, moved or
//! replaced unnoticed.

use flate2::Crc;

/// The first bytes of a file. The first byte is not ASCII and the last two are a line break, so that a transfer in text
/// mode is noticed.
pub const MAGIC: [u8; 8] = *b"\x93probe\r\n";

/// The version of the container: of the frame header and of the record header. New record kinds and new fields do not
/// change it.
pub const VERSION: u16 = 1;

/// The bytes of a frame header.
pub const HEADER_LEN: usize = 64;

/// The bytes of a record header: the kind, then the length in three bytes.
pub const RECORD_HEADER_LEN: usize = 4;

/// A frame is written when its payload has this many bytes, or when the recording is flushed.
pub const FRAME_TARGET: usize = 64 << 10;

/// A segment ends with the frame that brings its payloads to this many bytes.
pub const SEGMENT_TARGET: usize = 1 << 20;

/// The longest payload of a frame. A reader allocates no more than this, whatever a header claims.
pub const MAX_PAYLOAD: usize = 2 << 20;

/// The longest record, without its header.
pub const MAX_RECORD: usize = 1 << 20;

/// In the kind byte: this record repeats context from before the segment. A reader that has read the segments before
/// skips it.
pub const REPEATED: u8 = 0x80;

/// The kinds of records. A reader skips a kind that it does not know. A kind is never reused.
pub mod kind {
    /// The host, the backend and what is unavailable (JSON).
    pub const READY: u8 = 1;
    /// A record of the ring buffer, as the kernel side wrote it.
    pub const RING: u8 = 2;
    /// The names of reset reasons by the kernel's numbers (JSON).
    pub const RESET_REASONS: u8 = 3;
    /// The filter of the trace (JSON).
    pub const FILTER: u8 = 4;
    /// Sockets that were open before the trace began (JSON).
    pub const EXISTING: u8 = 5;
    /// The path of a cgroup (JSON).
    pub const CGROUP: u8 = 6;
    /// A failed bind(2), with the holders of the port (JSON).
    pub const BIND_FAILED: u8 = 7;
    /// What the kernel keeps of a connection after CLOSE (JSON).
    pub const TIME_WAIT: u8 = 8;
    /// The current time (JSON).
    pub const TICK: u8 = 9;
    /// Reports that were lost (JSON).
    pub const LOST: u8 = 10;
    /// The start or end of a scenario (JSON).
    pub const SCENARIO: u8 = 11;
    /// A check of a scenario (JSON).
    pub const CHECK: u8 = 12;
    /// A scenario's names for its sockets (JSON).
    pub const LABELS: u8 = 13;
    /// A scenario's sockets as sock_diag lists them (JSON).
    pub const SOCKETS: u8 = 14;
    /// A line of explanation (JSON).
    pub const NOTE: u8 = 15;
    /// The end of the recording, with the number of records (JSON).
    pub const END: u8 = 16;
}

/// How a payload is compressed.
pub const CODEC_NONE: u8 = 0;

/// The byte order of ring records, as the frame header names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// 1
    Little,
    /// 2
    Big,
    /// A number that this version does not know.
    Unknown(u8),
}

impl ByteOrder {
    /// The byte order of this machine.
    pub const NATIVE: Self = if cfg!(target_endian = "little") { Self::Little } else { Self::Big };

    const fn number(self) -> u8 {
        match self {
            Self::Little => 1,
            Self::Big => 2,
            Self::Unknown(number) => number,
        }
    }

    const fn of(number: u8) -> Self {
        match number {
            1 => Self::Little,
            2 => Self::Big,
            number => Self::Unknown(number),
        }
    }
}

/// Which frame of which segment, both counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Index {
    pub segment: u32,
    /// Within the segment.
    pub frame: u32,
}

/// The earliest and the latest CLOCK_MONOTONIC time in a frame, in nanoseconds. Where no record has a time, the first is
/// `u64::MAX` and the last 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    pub first: u64,
    pub last: u64,
}

impl TimeRange {
    pub const EMPTY: Self = Self { first: u64::MAX, last: 0 };

    /// Extends the range to a time.
    #[inline]
    pub fn extend(&mut self, time: u64) {
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    pub version: u16,
    pub codec: u8,
    /// Of the ring records.
    pub byte_order: ByteOrder,
    /// [`probe_ebpf::LAYOUT`] of the ring records.
    pub layout: u16,
    /// The bytes of the payload in the file.
    pub payload_len: u32,
    /// The bytes of the payload when decompressed.
    pub decoded_len: u32,
    /// How many records the payload has, repeated context included.
    pub records: u32,
    pub payload_crc: u32,
    pub index: Index,
    pub times: TimeRange,
    /// The CRC of the header before this one; 0 in the first frame of a recording.
    pub previous_crc: u32,
}

/// The first bytes of a frame header.
pub const FRAME_MAGIC: [u8; 4] = *b"\x9eFRM";

impl FrameHeader {
    /// The header as bytes, and its CRC, which is the last of them.
    pub fn to_bytes(self) -> ([u8; HEADER_LEN], u32) {
        let mut bytes = [0; HEADER_LEN];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &FRAME_MAGIC);
        put(4, &self.version.to_le_bytes());
        put(6, &[self.codec, self.byte_order.number()]);
        put(8, &self.layout.to_le_bytes());
        put(12, &self.payload_len.to_le_bytes());
        put(16, &self.decoded_len.to_le_bytes());
        put(20, &self.records.to_le_bytes());
        put(24, &self.payload_crc.to_le_bytes());
        put(28, &self.index.segment.to_le_bytes());
        put(32, &self.index.frame.to_le_bytes());
        put(36, &self.previous_crc.to_le_bytes());
        put(40, &self.times.first.to_le_bytes());
        put(48, &self.times.last.to_le_bytes());
        let crc = crc32(&bytes[..HEADER_LEN - 4]);
        bytes[HEADER_LEN - 4..].copy_from_slice(&crc.to_le_bytes());
        (bytes, crc)
    }

    /// The header and its CRC; `None` where these bytes are not a frame header, or their CRC does not match.
    pub fn of_bytes(bytes: &[u8; HEADER_LEN]) -> Option<(Self, u32)> {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| bytes[at + byte]));
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let crc = u32_at(HEADER_LEN - 4);
        if !bytes.starts_with(&FRAME_MAGIC) || crc != crc32(&bytes[..HEADER_LEN - 4]) {
            return None;
        }
        let header = Self {
            version: u16_at(4),
            codec: bytes[6],
            byte_order: ByteOrder::of(bytes[7]),
            layout: u16_at(8),
            payload_len: u32_at(12),
            decoded_len: u32_at(16),
            records: u32_at(20),
            payload_crc: u32_at(24),
            index: Index { segment: u32_at(28), frame: u32_at(32) },
            previous_crc: u32_at(36),
            times: TimeRange { first: u64_at(40), last: u64_at(48) },
        };
        Some((header, crc))
    }
}

/// The CRC-32 of gzip and PNG (polynomial 0x04C11DB7, reflected).
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Appends the header of a record to a payload. The caller has checked the length against [`MAX_RECORD`].
#[inline]
pub fn push_record_header(payload: &mut Vec<u8>, kind: u8, length: usize) {
    let [low, middle, high, _] = (length as u32).to_le_bytes();
    payload.extend_from_slice(&[kind, low, middle, high]);
}

/// The kind byte and the length of the record whose header these bytes begin with.
#[inline]
pub fn record_header(bytes: &[u8]) -> Option<(u8, usize)> {
    let [kind, low, middle, high] = *bytes.first_chunk()?;
    Some((kind, u32::from_le_bytes([low, middle, high, 0]) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_the_round_trip_and_no_flipped_bit_does() {
        let header = FrameHeader {
            version: 1,
            codec: 2,
            byte_order: ByteOrder::Big,
            layout: 4,
            payload_len: 5,
            decoded_len: 6,
            records: 7,
            payload_crc: 8,
            index: Index { segment: 9, frame: 10 },
            times: TimeRange { first: 11 << 32, last: 12 },
            previous_crc: 13,
        };
        let (bytes, crc) = header.to_bytes();
        assert_eq!(FrameHeader::of_bytes(&bytes), Some((header, crc)));
        for bit in 0..HEADER_LEN * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::of_bytes(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn a_record_header_has_a_length_of_three_bytes() {
        let mut payload = Vec::new();
        push_record_header(&mut payload, kind::NOTE | REPEATED, MAX_RECORD);
        assert_eq!(payload, [0x8f, 0, 0, 0x10]);
        assert_eq!(record_header(&payload), Some((0x8f, MAX_RECORD)));
        assert_eq!(record_header(&payload[..3]), None);
    }
}
