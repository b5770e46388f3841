//! Records of the ring buffer before they are decoded, as a recording stores them.

use std::collections::BTreeMap;

use log::warn;
use probe_ebpf::RecordHeader;

use super::decode::{DecodeError, ResetReasons, decode};
use crate::{
    model::{Backend, Input, LossStage, State},
    record::peek,
};

/// What it takes to decode the records of one stream.
#[derive(Debug)]
pub struct Decoder {
    backend: Backend,
    reasons: ResetReasons,
}

impl Decoder {
    /// A decoder for records of this backend.
    pub(super) fn new(backend: Backend, reasons: ResetReasons) -> Self {
        Self { backend, reasons }
    }

    /// The backend of the records.
    #[cfg(test)]
    pub(super) fn backend(&self) -> Backend {
        self.backend
    }

    /// Sets the backend of the records that follow.
    pub(super) fn set_backend(&mut self, backend: Backend) {
        self.backend = backend;
    }

    /// Sets the names of reset reasons for the records that follow.
    pub(super) fn set_reasons(&mut self, reasons: ResetReasons) {
        self.reasons = reasons;
    }

    /// Decodes a record.
    pub(super) fn decode(&self, bytes: &[u8]) -> Result<Input, DecodeError> {
        let header = peek::header(bytes).ok_or(DecodeError::Layout { length: bytes.len(), kind: None })?;
        decode(&header, bytes, self.backend, &self.reasons)
    }

    /// The names of reset reasons, by the running kernel's numbers.
    pub(super) fn reasons(&self) -> &BTreeMap<u32, String> {
        self.reasons.names()
    }
}

/// A record of the ring buffer, with its header parsed.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    header: RecordHeader,
    bytes: &'a [u8],
    decoder: &'a Decoder,
}

impl<'a> RawRecord<'a> {
    /// `header` is what `bytes` begin with.
    pub(super) fn new(header: RecordHeader, bytes: &'a [u8], decoder: &'a Decoder) -> Self {
        Self { header, bytes, decoder }
    }

    /// The whole record, header included.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The input that the record holds. A malformed record counts as lost in the reader.
    #[must_use]
    pub fn decode_or_lost(&self) -> Input {
        let Decoder { backend, reasons } = self.decoder;
        decode(&self.header, self.bytes, *backend, reasons).unwrap_or_else(|error| {
            warn!("{error}");
            Input::Lost { count: 1, stage: LossStage::Reader }
        })
    }

    /// Whether the record reports a bind(2) that failed.
    #[must_use]
    pub fn is_bind(&self) -> bool {
        peek::is_bind(&self.header)
    }

    /// The id of the owner's cgroup, if the record names one.
    #[must_use]
    pub fn cgroup(&self) -> Option<u64> {
        peek::cgroup(&self.header, self.bytes)
    }

    /// The socket and the state that it enters, if the record is of a transition. The number is the address of the
    /// kernel's socket: it distinguishes open sockets, and may be reused after a close.
    #[must_use]
    pub fn entered(&self) -> Option<(u64, State)> {
        peek::change(&self.header, self.bytes).map(|change| (change.socket, change.new))
    }
}
