//! A recording, played to its end.

use std::time::Duration;

use super::{Session, SessionError};
use crate::{
    model::{End, Input, Mono},
    source::{Flow, Source},
};

/// How time passes in a replay where nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticks {
    /// Where it led to a finding in the stream that was recorded, so that the same is found.
    Recorded,
    /// In between too, since more may be found than then.
    Filled,
}

/// How often time passes.
const STEP: Duration = Duration::from_secs(1);

/// How far what is filled in stays behind. What a recorded tick is about to find is left to it, so that it is
/// found at the same moment again.
const BEHIND: Duration = Duration::from_secs(3);

/// The steps that a pause is divided into at most: one of years is in nobody's interest.
const STEPS: u32 = 3600;

impl Session {
    /// Plays a recording, or any other source that ends, to its end, and closes the stream with the
    /// figures that it brings along.
    ///
    /// # Errors
    /// What was read before an error has been shown.
    pub async fn replay(&mut self, source: &mut impl Source, ticks: Ticks) -> Result<End, SessionError> {
        let (mut events, mut end) = (Vec::new(), None);
        let mut last = None;
        loop {
            let flow = source.deliver(&mut events).await;
            for event in &mut events {
                if ticks == Ticks::Filled {
                    self.pass_time(&mut last, event)?;
                }
                match event {
                    // What follows it is the source's to refuse.
                    Input::End(recorded) => end = Some(recorded.clone()),
                    event => self.receive(event)?,
                }
            }
            events.clear();
            if flow.is_err() {
                let Self { render, shown, .. } = self;
                shown.add(|text| render.abort(text)).map_err(SessionError::Output)?;
            }
            self.flush()?;
            if flow? == Flow::Ended {
                return match end {
                    Some(End { duration, attach, .. }) => self.end(duration, attach),
                    None => self.finish(None),
                };
            }
        }
    }

    /// Lets time pass from the last event to shortly before this one.
    fn pass_time(&mut self, last: &mut Option<Mono>, event: &Input) -> Result<(), SessionError> {
        let Some(at) = moment(event).map(|at| at.before(BEHIND)) else { return Ok(()) };
        let mut now = *last.get_or_insert(at);
        let step = STEP.max(at.since(now) / STEPS);
        while at.since(now) >= step {
            now = now.after(step);
            self.feed(Input::Tick(now))?;
            *last = Some(now);
        }
        Ok(())
    }
}

/// When that was, as the recording has it.
fn moment(event: &Input) -> Option<Mono> {
    match event {
        Input::Report(report) => Some(report.at),
        Input::Summary(summary) => Some(summary.end.at),
        Input::BindFailed(failure) => Some(failure.at),
        Input::Reset(reset) => Some(reset.at),
        Input::Existing { at, .. } | Input::Tick(at) => Some(*at),
        _ => None,
    }
}
