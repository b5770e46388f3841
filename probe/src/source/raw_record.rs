//! The ring's records before they are decoded: what a recording keeps.

use std::{collections::BTreeMap, ops::ControlFlow};

use log::warn;

use super::decode::{DecodeError, Reasons, decode, peek};
use crate::model::{Backend, Input, State};

/// What it takes to decode the records of one stream.
#[derive(Debug)]
pub struct Decoder {
    backend: Backend,
    reasons: Reasons,
}

impl Decoder {
    /// For records of this backend.
    pub(super) fn new(backend: Backend, reasons: Reasons) -> Self {
        Self { backend, reasons }
    }

    /// Which backend the records are of.
    #[cfg(test)]
    pub(super) fn backend(&self) -> Backend {
        self.backend
    }

    /// From here on the records are of this backend.
    pub(super) fn set_backend(&mut self, backend: Backend) {
        self.backend = backend;
    }

    /// From here on the reasons have these names.
    pub(super) fn set_reasons(&mut self, reasons: Reasons) {
        self.reasons = reasons;
    }

    /// What the record says.
    pub(super) fn decode(&self, record: &[u8]) -> Result<Input, DecodeError> {
        decode(record, self.backend, &self.reasons)
    }

    /// The same. A record that makes no sense is a loss.
    pub(super) fn decode_or_lose(&self, record: &[u8]) -> Input {
        self.decode(record).unwrap_or_else(|error| {
            warn!("{error}");
            Input::Lost { count: 1, stage: "reader".into() }
        })
    }

    /// What the reasons of resets are called.
    pub(super) fn reasons(&self) -> &BTreeMap<u32, String> {
        self.reasons.names()
    }
}

/// A record as it came out of the ring.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    bytes: &'a [u8],
    kind: u16,
    decoder: &'a Decoder,
}

impl<'a> RawRecord<'a> {
    pub(super) fn new(bytes: &'a [u8], kind: u16, decoder: &'a Decoder) -> Self {
        Self { bytes, kind, decoder }
    }

    /// The record.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What it says; of one that makes no sense, that it is lost.
    #[must_use]
    pub fn decode(&self) -> Input {
        self.decoder.decode_or_lose(self.bytes)
    }

    /// Whether it is of a failed bind.
    #[must_use]
    pub fn is_bind(&self) -> bool {
        peek::is_bind(self.kind)
    }

    /// The id of the cgroup of the owner that it names.
    #[must_use]
    pub fn cgroup(&self) -> Option<u64> {
        peek::cgroup(self.kind, self.bytes)
    }

    /// Which socket enters which state, where it is a transition. The number is no identity: it tells apart the sockets
    /// that there are at the time.
    #[must_use]
    pub fn entered(&self) -> Option<(u64, State)> {
        peek::entered(self.kind, self.bytes)
    }
}

/// Takes what comes from a source, records raw_record. It says of each whether there should be more now; what it did not
/// want yet comes the next time.
pub trait RecordSink {
    /// An event that is no record.
    fn event(&mut self, event: Input) -> ControlFlow<()>;

    /// A record of the ring.
    fn record(&mut self, record: &RawRecord<'_>) -> ControlFlow<()>;

    /// Whether records may come later, and more of them at once: nobody waits for them.
    fn has_time(&self) -> bool;

    /// What the reasons of resets are called, by the numbers that the records after this have.
    fn reasons(&mut self, reasons: &BTreeMap<u32, String>) -> ControlFlow<()>;
}
