//! The objects of the JSON output: the interface that scripts and other tools rely on.
//!
//! Every object has `type`, `v` (the version of the field names and their meaning) and `time`. Later versions may add
//! objects and fields; existing ones keep their meaning. An unknown value is `null`. 64-bit identifiers are decimal
//! strings, because many JSON parsers represent numbers in 53 bits. Names chosen by a process are converted to UTF-8
//! lossily; JSON escapes control characters.
//!
//! The types generate the schema too ([`schema`](super::schema)): a field's doc comment is its description there.
//! To add an object, define a struct that denies unknown fields and a variant of [`Kind`].

mod behaviour;
mod connection;
mod difference;
mod doctor;
mod fast_json;
mod finding;
mod nested;
mod reset;
mod scenario;
mod stream;
#[cfg(test)]
mod testing;
mod time;
mod time_wait;
mod transition;
mod value;

use std::{io, time::SystemTime};

use schemars::JsonSchema;
use serde::Serialize;

pub use self::time::StreamTime;
use self::{
    behaviour::BehaviourObject,
    connection::ConnectionObject,
    difference::DifferenceObject,
    doctor::{FacilityObject, HazardObject},
    fast_json::FastJson,
    finding::FindingObject,
    reset::ResetObject,
    scenario::{CheckObject, LabelsObject, ScenarioObject, SocketsObject},
    stream::{EndObject, LostObject, NoteObject, ReadyObject},
    time::Time,
    time_wait::TimeWaitObject,
    transition::TransitionObject,
};
use crate::model::{Difference, End, Facility, Hazard, Mono, Output};

/// One object of the output.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(transparent)]
pub struct Object<'a>(Kind<'a>);

#[derive(Debug, JsonSchema, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(inline)]
enum Kind<'a> {
    Ready(ReadyObject<'a>),
    Transition(TransitionObject<'a>),
    Reset(ResetObject<'a>),
    Connection(ConnectionObject<'a>),
    TimeWait(TimeWaitObject<'a>),
    Finding(FindingObject<'a>),
    Lost(LostObject),
    Scenario(ScenarioObject<'a>),
    Check(CheckObject<'a>),
    Labels(LabelsObject<'a>),
    Sockets(SocketsObject<'a>),
    Note(NoteObject<'a>),
    Behaviour(BehaviourObject<'a>),
    Difference(DifferenceObject<'a>),
    End(EndObject),
    Facility(FacilityObject<'a>),
    Hazard(HazardObject<'a>),
}

impl<'a> Object<'a> {
    /// The object of an event, which `time` has observed ([`StreamTime::observe`]).
    #[must_use]
    pub fn of(event: &'a Output, time: StreamTime) -> Self {
        Self(match event {
            Output::Ready { host, backend, unavailable, existing } => {
                Kind::Ready(ReadyObject::of(host, *backend, unavailable, *existing, time))
            }
            Output::Transition(transition) => Kind::Transition(TransitionObject::of(transition, time)),
            Output::Reset(reset) => Kind::Reset(ResetObject::of(reset, time)),
            Output::Connection(connection) => Kind::Connection(ConnectionObject::of(connection, time)),
            Output::TimeWaitEntry(entry) => Kind::TimeWait(TimeWaitObject::of(entry, time)),
            Output::Finding(finding) => Kind::Finding(FindingObject::of(finding, time)),
            Output::Lost { count, stage } => Kind::Lost(LostObject::of(*count, *stage, time)),
            Output::Scenario { name, phase } => Kind::Scenario(ScenarioObject::of(name, phase, time)),
            Output::Check(check) => Kind::Check(CheckObject::of(check, time)),
            Output::Behaviour(result) => Kind::Behaviour(BehaviourObject::of(result, time)),
            Output::Labels(labels) => Kind::Labels(LabelsObject::of(labels, time)),
            Output::Sockets(rows) => Kind::Sockets(SocketsObject::of(rows, time)),
            Output::Note(text) => Kind::Note(NoteObject::of(text, time)),
            Output::End(end) => Kind::End(EndObject::of(end, time)),
        })
    }

    /// The object of a difference between two profiles, compared at `at`.
    #[must_use]
    pub fn of_difference(difference: &'a Difference, at: SystemTime) -> Self {
        Self(Kind::Difference(DifferenceObject::of(difference, Time::of_system(at))))
    }

    /// The object of a facility, examined at `at`.
    #[must_use]
    pub fn of_facility(facility: &'a Facility, at: SystemTime) -> Self {
        Self(Kind::Facility(FacilityObject::of(facility, Time::of_system(at))))
    }

    /// The object of a hazard, found at `at`.
    #[must_use]
    pub fn of_hazard(hazard: &'a Hazard, at: SystemTime) -> Self {
        Self(Kind::Hazard(HazardObject::of(hazard, Time::of_system(at))))
    }

    /// The object of the end of a stream that reports connections instead of transitions. Only transitions tell how many of
    /// them there are, and which connections are open.
    #[must_use]
    pub fn of_end_without_transitions(end: &End, time: StreamTime) -> Self {
        Self(Kind::End(EndObject::of(end, time).without_transitions()))
    }
}

/// Writes a stream as JSON Lines.
#[derive(Debug, Default)]
pub struct Lines {
    time: StreamTime,
    fast: FastJson,
    connections_only: bool,
}

impl Lines {
    /// The lines of a stream that reports connections and no transitions.
    #[must_use]
    pub fn of_connections() -> Self {
        Self { connections_only: true, ..Self::default() }
    }

    /// Takes note of an event that gets no line: the lines after it are not dated before it.
    pub fn observe(&mut self, event: &Output) {
        self.time.observe(event);
    }

    /// Takes note of the time of an event that may not be shown.
    pub fn advance(&mut self, latest: Mono) {
        self.time.advance(latest);
    }

    /// Appends the line of an event.
    ///
    /// # Errors
    /// Never in practice: serde_json's signature requires it.
    pub fn write(&mut self, event: &Output, out: &mut Vec<u8>) -> io::Result<()> {
        self.time.observe(event);
        match event {
            Output::Transition(transition) => self.fast.transition(transition, self.time, out),
            Output::Connection(connection) => self.fast.connection(connection, self.time, out),
            event => {
                let object = match event {
                    Output::End(end) if self.connections_only => {
                        Object::of_end_without_transitions(end, self.time)
                    }
                    event => Object::of(event, self.time),
                };
                serde_json::to_writer(&mut *out, &object)?;
                out.push(b'\n');
            }
        }
        Ok(())
    }
}
