//! Why a recording cannot be read.

use std::{fmt, io};

use thiserror::Error;

use crate::record::frame::{ByteOrder, VERSION};

/// Why a recording cannot be read, or not beyond some byte. Everything before that byte has been read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Not a recording.
    #[error(
        "not a recording: {0}; `probe trace --record FILE` and `probe run --record FILE` write recordings"
    )]
    Foreign(&'static str),
    /// In a version of the format that this probe does not know.
    #[error(
        "the frame at byte {offset} is in version {found} of the recording format, and this probe reads version \
         {VERSION}: replay it with the probe that made it, or a newer one"
    )]
    Version {
        /// Where the frame begins.
        offset: u64,
        /// Its version.
        found: u16,
    },
    /// Compressed in a way that this probe does not know.
    #[error(
        "the frame at byte {offset} is compressed with codec {found}, and this probe reads codec 0 (none): replay it \
         with the probe that made it, or a newer one"
    )]
    Codec {
        /// Where the frame begins.
        offset: u64,
        /// Its codec.
        found: u8,
    },
    /// With ring records that this probe cannot decode.
    #[error(
        "the frame at byte {offset} has {found} ring records, and this probe reads {}: replay it with the probe that \
         made it, on a machine of the same byte order",
        Layout::CURRENT
    )]
    Layout {
        /// Where the frame begins.
        offset: u64,
        /// The layout of its records.
        found: Layout,
    },
    /// It ends before its end record, between two frames or within the last one.
    #[error(
        "the recording is cut off at byte {offset}: it has no end record, so probe was killed while it recorded, still \
         records, or the copy is incomplete; everything before byte {offset} was read"
    )]
    Truncated {
        /// Where the incomplete frame begins, or where a frame is missing.
        offset: u64,
    },
    /// Bytes that are not as they were written.
    #[error(
        "the recording is corrupted at byte {offset}: {what}; everything before was read: copy the file again from \
         where it was recorded"
    )]
    Corrupted {
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A record that is as it was written, and that this probe cannot decode.
    #[error(
        "the record at byte {offset} cannot be decoded: {what}; its checksum matches, so a newer or a faulty probe wrote \
         it: replay the recording with the probe that made it"
    )]
    Undecodable {
        /// Where the payload of the record begins.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The file cannot be read.
    #[error("cannot read the recording: {0}")]
    Io(#[from] io::Error),
}

/// How ring records are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// [`probe_ebpf::LAYOUT`]
    pub layout: u16,
    /// That of the host.
    pub order: ByteOrder,
}

impl Layout {
    /// The layout of this version, on this machine.
    pub const CURRENT: Self = Self { layout: probe_ebpf::LAYOUT as u16, order: ByteOrder::NATIVE };
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.order {
            ByteOrder::Little => f.write_str("little-endian")?,
            ByteOrder::Big => f.write_str("big-endian")?,
            ByteOrder::Unknown(number) => write!(f, "byte order {number}")?,
        }
        write!(f, " layout {}", self.layout)
    }
}
