//! The loop of a trace: what happens on the host, until somebody or something says that it is enough.

use std::{future::Future, pin::pin, time::Duration};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout_at};

use super::{Session, SessionError, host_queries::Enricher, pipeline::Keep};
use crate::{
    os::clock,
    source::{Flow, Source},
};

/// How often the detectors are told what time it is.
const TICK: Duration = Duration::from_secs(1);

/// What ended a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending<T> {
    /// Somebody said so.
    Asked(T),
    /// The time is over.
    Time,
    /// So many lines were shown as were asked for.
    Lines,
    /// The source has no more.
    Source,
}

impl Session {
    /// Shows what comes from the source, until `enough` says why not to go on, `duration` is over, or the
    /// selection has its lines. What the source has by then is still shown, the lines aside.
    ///
    /// # Errors
    /// The source gave out, or the output cannot be written.
    pub async fn follow<T>(
        &mut self,
        source: &mut impl Source,
        duration: Option<Duration>,
        enough: impl Future<Output = T>,
    ) -> Result<Ending<T>, SessionError> {
        let mut enough = pin!(enough);
        let mut time_over = pin!(after(duration));
        let mut ticks = ticks();
        let ending = loop {
            if self.selector.is_full() {
                break Ending::Lines;
            }
            tokio::select! {
                why = &mut enough => break Ending::Asked(why),
                () = &mut time_over => break Ending::Time,
                _ = ticks.tick() => self.tell_the_time(source, Keep::Findings)?,
                flow = self.take(source) => if flow? == Flow::Ended {
                    break Ending::Source;
                },
            }
        };
        // From the last tick a replay knows for how long nothing happened.
        self.tell_the_time(source, Keep::Always)?;
        Ok(ending)
    }

    /// Follows the connections that are being closed to their ends, for so long at most: the last packets
    /// still travel when the process that closed them is gone.
    ///
    /// # Errors
    /// The source gave out, or the output cannot be written.
    pub async fn settle_closing(
        &mut self,
        source: &mut impl Source,
        patience: Duration,
    ) -> Result<(), SessionError> {
        let deadline = Instant::now() + patience;
        while !self.closing.is_empty() && !self.selector.is_full() {
            match timeout_at(deadline, self.take(source)).await {
                Ok(taken) => taken?,
                Err(_) => break,
            };
        }
        Ok(())
    }

    /// What happened before comes before.
    fn tell_the_time(&mut self, source: &mut impl Source, keep: Keep) -> Result<(), SessionError> {
        let now = clock::now();
        self.drain(source)?;
        self.companion.iter_mut().for_each(Enricher::rest);
        self.tick(now, keep)?;
        self.flush()
    }
}

fn ticks() -> Interval {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Ends after that time; never, without one.
async fn after(duration: Option<Duration>) {
    // A deadline beyond what the clock counts to is none.
    match duration.and_then(|duration| Instant::now().checked_add(duration)) {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
