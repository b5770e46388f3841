//! Where the pipeline's input comes from: the running kernel or a recording, behind one trait.

// Public for `probe/benches` only.
#[doc(hidden)]
pub mod decode;
pub mod live;
mod raw_record;
pub mod recording;
mod sink;

use std::{future::Future, io};

use thiserror::Error;

pub use self::{raw_record::RawRecord, sink::RecordSink};

use crate::record::ReadError;

/// Whether a source may deliver more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// There may be more.
    More,
    /// Everything has been delivered.
    Ended,
}

/// Why a source cannot deliver any more.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The recording is truncated or corrupted; the message says where.
    #[error(transparent)]
    Recording(#[from] ReadError),
    /// The ring buffers cannot be polled or read.
    #[error("cannot read the kernel's reports: {0}")]
    Live(#[from] io::Error),
}

/// A source of inputs and of records from the ring buffer, in the order in which they happened. The first input is
/// [`Input::Ready`](crate::model::Input::Ready).
pub trait Source {
    /// Waits until something is available and delivers a batch of it to `sink`. The batch may be empty.
    ///
    /// The future may be dropped while it waits, as `tokio::select!` does: nothing is lost.
    ///
    /// # Errors
    /// [`SourceError`]: the source cannot deliver any more. What it had before the error has been delivered.
    fn deliver(&mut self, sink: &mut impl RecordSink) -> impl Future<Output = Result<Flow, SourceError>>;

    /// Delivers everything that is available, without waiting. A source that never waits has nothing to drain.
    ///
    /// # Errors
    /// The same as [`deliver`](Self::deliver).
    fn drain(&mut self, _sink: &mut impl RecordSink) -> Result<(), SourceError> {
        Ok(())
    }
}
