//! The objects of the JSON output: what scripts and other tools rely on.
//!
//! Every object has a `type` and `v`, the version of what the names mean; fields may be added to it,
//! none changes. Unknown is `null`. 64-bit identities are decimal text, since many readers of JSON
//! keep 53 bits. Names that a process chose are as it chose them, lossily made UTF-8: JSON escapes
//! what needs escaping.

mod life;
mod run;

use jiff::Timestamp;
use serde::Serialize;

use self::{
    life::{ConnectionObject, FindingObject, TransitionObject},
    run::{
        CheckObject, EndObject, LabelsObject, LostObject, NoteObject, ReadyObject, ScenarioObject,
        SocketsObject,
    },
};
use crate::model::{Clock, Event, Mono};

/// What `v` says in every object.
const VERSION: u8 = 1;

/// An object of the output.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Object<'a>(Kind<'a>);

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Kind<'a> {
    Ready(ReadyObject<'a>),
    Transition(TransitionObject<'a>),
    Connection(ConnectionObject<'a>),
    Finding(FindingObject<'a>),
    Lost(LostObject<'a>),
    Scenario(ScenarioObject<'a>),
    Check(CheckObject<'a>),
    Labels(LabelsObject<'a>),
    Sockets(SocketsObject<'a>),
    Note(NoteObject<'a>),
    End(EndObject),
}

impl<'a> Object<'a> {
    /// The object that shows this event; none for a raw report. Without a clock (before
    /// [`Event::Ready`]) the times of day are unknown.
    #[must_use]
    pub fn of(event: &'a Event, clock: Option<Clock>) -> Option<Self> {
        let calendar = Calendar(clock);
        Some(Self(match event {
            Event::Ready { host, backend, off, existing } => {
                Kind::Ready(ReadyObject::of(host, *backend, off, *existing))
            }
            Event::Transition(transition) => Kind::Transition(TransitionObject::of(transition, calendar)),
            Event::Connection(connection) => Kind::Connection(ConnectionObject::of(connection, calendar)),
            Event::Finding(finding) => Kind::Finding(FindingObject::of(finding, calendar)),
            Event::Lost { count, place } => Kind::Lost(LostObject::of(*count, place)),
            Event::Scenario { name, phase } => Kind::Scenario(ScenarioObject::of(name, phase)),
            Event::Check(check) => Kind::Check(CheckObject::of(check)),
            Event::Labels(labels) => Kind::Labels(LabelsObject::of(labels)),
            Event::Sockets(rows) => Kind::Sockets(SocketsObject::of(rows)),
            Event::Note(text) => Kind::Note(NoteObject::of(text)),
            Event::End(end) => Kind::End(EndObject::of(end)),
            Event::Existing { .. }
            | Event::Cgroup(_)
            | Event::Report(_)
            | Event::Summary(_)
            | Event::BindFailed(_)
            | Event::Reset(_)
            | Event::Remains(_)
            | Event::Tick(_) => return None,
        }))
    }
}

/// From the monotonic clock to RFC 3339.
#[derive(Clone, Copy, Debug)]
struct Calendar(Option<Clock>);

impl Calendar {
    /// UTC with nanoseconds; `None` without a clock, or for a moment that has no date.
    fn time(self, at: Mono) -> Option<String> {
        let moment = Timestamp::from_nanosecond(self.0?.unix_ns(at)).ok()?;
        Some(format!("{moment:.9}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_all_nine_digits() {
        let calendar = Calendar(Some(Clock { realtime_offset_ns: 1_700_000_000_000_000_000 }));
        assert_eq!(calendar.time(Mono(120)).as_deref(), Some("2023-11-14T22:13:20.000000120Z"));
        assert_eq!(Calendar(None).time(Mono(1)), None);
        assert_eq!(Calendar(Some(Clock { realtime_offset_ns: i128::MAX / 2 })).time(Mono(1)), None);
    }
}
