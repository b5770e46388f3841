//! The loop of a trace.

use std::{future::Future, pin::pin, time::Duration};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::{Next, Session, SessionError, host_queries::Enricher, pipeline::RecordTick};
use crate::{
    os::clock,
    source::{Flow, Source},
};

/// How often the detectors get the current time.
const TICK: Duration = Duration::from_secs(1);

/// Why a trace stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason<T> {
    /// The caller's event occurred, with this value.
    Requested(T),
    /// The duration has elapsed.
    DurationElapsed,
    /// The selected number of lines was shown.
    LineLimit,
    /// The source has ended.
    SourceEnded,
}

/// Shows what the source delivers until `stop` is ready, `duration` has elapsed, or the selection has its number of
/// lines. Then shows what the source still has, up to the number of lines.
///
/// # Errors
/// The source failed, or the output or the recording cannot be written.
pub async fn follow<T>(
    session: &mut Session,
    source: &mut impl Source,
    duration: Option<Duration>,
    stop: impl Future<Output = T>,
) -> Result<StopReason<T>, SessionError> {
    let mut stop = pin!(stop);
    let mut elapsed = pin!(sleep(duration));
    let mut ticks = ticks();
    let reason = loop {
        if session.pipeline.selector.is_exhausted() {
            break StopReason::LineLimit;
        }
        // `None` is a tick.
        let event = async {
            tokio::select! {
                value = &mut stop => Some(StopReason::Requested(value)),
                () = &mut elapsed => Some(StopReason::DurationElapsed),
                _ = ticks.tick() => None,
            }
        };
        match session.next(source, event).await? {
            Next::Batch(Flow::More) => {}
            Next::Batch(Flow::Ended) => break StopReason::SourceEnded,
            Next::Event(None) => drain_and_tick(session, source, RecordTick::IfUseful)?,
            Next::Event(Some(reason)) => break reason,
        }
    };
    // A replay learns from the last tick for how long nothing happened.
    drain_and_tick(session, source, RecordTick::Always)?;
    Ok(reason)
}

/// Follows the connections that are being closed to CLOSE, for `patience` at most: the last packets may still be in
/// flight after the process that closed them has exited.
///
/// # Errors
/// The source failed, or the output or the recording cannot be written.
pub async fn settle_closing(
    session: &mut Session,
    source: &mut impl Source,
    patience: Duration,
) -> Result<(), SessionError> {
    let deadline = Instant::now() + patience;
    while !session.pipeline.emitter.closing.is_empty() && !session.pipeline.selector.is_exhausted() {
        if let Next::Event(()) = session.next(source, sleep_until(deadline)).await? {
            break;
        }
    }
    Ok(())
}

/// Processes what happened before the current time, then passes the time to the detectors.
fn drain_and_tick(
    session: &mut Session,
    source: &mut impl Source,
    recording: RecordTick,
) -> Result<(), SessionError> {
    let now = clock::now();
    session.drain(source)?;
    session.pipeline.emitter.host.iter_mut().for_each(Enricher::evict_idle);
    session.pipeline.tick(now, recording)?;
    session.pipeline.flush()
}

fn ticks() -> Interval {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits for that long; without a duration, forever.
async fn sleep(duration: Option<Duration>) {
    // A deadline that the clock cannot represent is never reached.
    match duration.and_then(|duration| Instant::now().checked_add(duration)) {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
