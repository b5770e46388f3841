//! Where events come from. The running kernel and a recording look alike.

// Open for `probe/benches` alone.
#[doc(hidden)]
pub mod decode;
pub mod live;
mod raw_record;
pub mod recording;

use std::{future::Future, io, ops::ControlFlow};

use thiserror::Error;

pub use self::raw_record::{RawRecord, RecordSink};

use crate::{model::Input, record::ReadError};

/// Whether a source has more to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Ask again.
    More,
    /// That was all.
    Ended,
}

/// Why a source cannot go on.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The recording ends or breaks here; the text says where.
    #[error(transparent)]
    Recording(#[from] ReadError),
    /// The kernel's ring cannot be waited on or read any more.
    #[error("the kernel's reports cannot be read any more: {0}")]
    Live(#[from] io::Error),
}

/// An origin of events: [`Input::Ready`] first, then reports and what else was said of them, in the
/// order in which it happened.
pub trait Source {
    /// Waits until there is something, and appends it to `out`: one event or many, or none where
    /// looking was in vain.
    ///
    /// It may be dropped while it waits (as `tokio::select!` does) without losing an event.
    ///
    /// # Errors
    /// [`SourceError`] says why there will be no more. What came before it has been delivered by
    /// earlier calls, or is in `out`.
    fn batch(&mut self, out: &mut Vec<Input>) -> impl Future<Output = Result<Flow, SourceError>>;

    /// The same for one who wants the ring's records as they are, where the source has any.
    ///
    /// # Errors
    /// As for [`batch`](Self::batch).
    fn hand_over(&mut self, taker: &mut impl RecordSink) -> impl Future<Output = Result<Flow, SourceError>> {
        async {
            let mut events = Vec::new();
            let flow = self.batch(&mut events).await;
            let _ = give(events, taker);
            flow
        }
    }

    /// What there is already, in the same way, without waiting.
    ///
    /// # Errors
    /// As for [`batch`](Self::batch).
    fn hand_over_rest(&mut self, taker: &mut impl RecordSink) -> Result<(), SourceError> {
        let mut events = Vec::new();
        let drained = self.drain(&mut events);
        let _ = give(events, taker);
        drained
    }

    /// Appends what there is already to `out`, without waiting.
    ///
    /// # Errors
    /// As for [`batch`](Self::batch).
    fn drain(&mut self, _out: &mut Vec<Input>) -> Result<(), SourceError> {
        Ok(())
    }
}

fn give(events: impl IntoIterator<Item = Input>, taker: &mut impl RecordSink) -> ControlFlow<()> {
    events.into_iter().try_for_each(|event| taker.event(event))
}
