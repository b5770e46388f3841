//! Replays a recording.

use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

use super::{Session, SessionError, pipeline::Pipeline, session_sink::SessionSink};
use crate::{
    model::{End, Input, Mono},
    source::{Flow, RawRecord, RecordSink, Source},
};

/// How time passes in a replay while nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TickMode {
    /// At the recorded ticks, which led to findings in the recorded stream: a replay finds the same.
    Recorded,
    /// Between them as well, since other options may find more.
    Filled,
}

/// The interval of ticks that are filled in.
const STEP: Duration = Duration::from_secs(1);

/// How far ticks that are filled in stay behind the next input. A recorded tick then finds what it found when it was
/// recorded, at the same time.
const DELAY: Duration = Duration::from_secs(3);

/// The greatest number of ticks that are filled into a pause, however long it is.
const MAX_STEPS: u32 = 3600;

/// Replays a recording, or any other source that ends, to its end. Then closes the stream with the recorded
/// durations.
///
/// # Errors
/// The source failed, or the output cannot be written. What was read before the error has been shown.
pub async fn replay(
    session: &mut Session,
    source: &mut impl Source,
    ticks: TickMode,
) -> Result<End, SessionError> {
    let mut replay = Replay { ticks, last_tick: None, end: None };
    loop {
        let mut sink = ReplaySink { sink: SessionSink::new(&mut session.pipeline), replay: &mut replay };
        let flow = source.deliver(&mut sink).await;
        if flow.is_err() {
            sink.sink.abort();
        }
        if sink.sink.finish(flow)? == Flow::Ended {
            return match replay.end {
                Some(End { duration, attach, .. }) => session.pipeline.end(duration, attach),
                None => session.finish(None),
            };
        }
    }
}

/// Ticks from the last input to shortly before this one.
fn fill_ticks(pipeline: &mut Pipeline, last: &mut Option<Mono>, input: &Input) -> Result<(), SessionError> {
    let Some(at) = time_of(input).map(|at| at.before(DELAY)) else { return Ok(()) };
    let mut now = *last.get_or_insert(at);
    let step = STEP.max(at.since(now) / MAX_STEPS);
    while at.since(now) >= step {
        now = now.after(step);
        pipeline.process(&mut Input::Tick(now), None)?;
        *last = Some(now);
    }
    Ok(())
}

/// The state of a replay.
struct Replay {
    ticks: TickMode,
    /// The last tick that was filled in.
    last_tick: Option<Mono>,
    /// The recorded end.
    end: Option<End>,
}

/// A session's sink with the state of a replay.
struct ReplaySink<'a> {
    sink: SessionSink<'a>,
    replay: &'a mut Replay,
}

impl RecordSink for ReplaySink<'_> {
    fn input(&mut self, mut input: Input) -> ControlFlow<()> {
        let Replay { ticks, last_tick, end } = &mut *self.replay;
        self.sink.next(|pipeline| {
            if *ticks == TickMode::Filled {
                fill_ticks(pipeline, last_tick, &input)?;
            }
            match &mut input {
                // The source rejects whatever follows it.
                Input::End(recorded) => *end = Some(recorded.clone()),
                input => pipeline.process(input, None)?,
            }
            Ok(())
        })
    }

    fn record(&mut self, record: &RawRecord<'_>) -> ControlFlow<()> {
        self.input(record.decode_or_lost())
    }

    fn reset_reasons(&mut self, names: &BTreeMap<u32, String>) -> ControlFlow<()> {
        self.sink.reset_reasons(names)
    }
}

/// When an input happened, as recorded.
fn time_of(input: &Input) -> Option<Mono> {
    match input {
        Input::Report(report) => Some(report.at),
        Input::Summary(summary) => Some(summary.end.at),
        Input::BindFailed(failure) => Some(failure.at),
        Input::Reset(reset) => Some(reset.at),
        Input::Existing { at, .. } | Input::Tick(at) => Some(*at),
        _ => None,
    }
}
