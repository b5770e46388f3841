//! The objects of the JSON output: what scripts and other tools rely on.
//!
//! Every object has a `type` and `v`, the version of what the names mean; fields may be added to it,
//! none changes. Unknown is `null`. 64-bit identities are decimal text, since many readers of JSON
//! keep 53 bits. Names that a process chose are as it chose them, lossily made UTF-8: JSON escapes
//! what needs escaping.
//!
//! The types are the schema, too ([`schema`](super::schema)): a field's comment is its description there.
//! A new object is a struct that refuses unknown fields, and a variant of [`Kind`].

mod behaviour;
mod close;
mod doctor;
mod fast_json;
mod finding;
mod life;
mod parts;
mod run;
mod scenario;
mod time;
mod value;

use std::io;

use schemars::JsonSchema;
use serde::Serialize;

use self::{
    behaviour::{BehaviourObject, DifferenceObject},
    close::{ResetObject, TimeWaitObject},
    doctor::{FacilityObject, HazardObject},
    fast_json::FastJson,
    finding::FindingObject,
    life::{ConnectionObject, TransitionObject},
    run::{EndObject, LostObject, NoteObject, ReadyObject},
    scenario::{CheckObject, LabelsObject, ScenarioObject, SocketsObject},
    time::Calendar,
};
use crate::model::{Clock, Difference, Facility, Hazard, Output};

/// An object of the output.
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
    Lost(LostObject<'a>),
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
    /// The object that shows this output. Without a clock (before [`Output::Ready`]) the times of day are unknown.
    #[must_use]
    pub fn of(event: &'a Output, clock: Option<Clock>) -> Self {
        let calendar = Calendar(clock);
        Self(match event {
            Output::Ready { host, backend, unavailable, existing } => {
                Kind::Ready(ReadyObject::of(host, *backend, unavailable, *existing))
            }
            Output::Transition(transition) => Kind::Transition(TransitionObject::of(transition, calendar)),
            Output::Reset(reset) => Kind::Reset(ResetObject::of(reset, calendar)),
            Output::Connection(connection) => Kind::Connection(ConnectionObject::of(connection, calendar)),
            Output::TimeWaitEntry(remains) => Kind::TimeWait(TimeWaitObject::of(remains, calendar)),
            Output::Finding(finding) => Kind::Finding(FindingObject::of(finding, calendar)),
            Output::Lost { count, stage } => Kind::Lost(LostObject::of(*count, stage)),
            Output::Scenario { name, phase } => Kind::Scenario(ScenarioObject::of(name, phase)),
            Output::Check(check) => Kind::Check(CheckObject::of(check)),
            Output::Behaviour(result) => Kind::Behaviour(result.as_ref().into()),
            Output::Labels(labels) => Kind::Labels(LabelsObject::of(labels)),
            Output::Sockets(rows) => Kind::Sockets(SocketsObject::of(rows)),
            Output::Note(text) => Kind::Note(NoteObject::of(text)),
            Output::End(end) => Kind::End(EndObject::of(end)),
        })
    }

    /// The object that shows this difference.
    #[must_use]
    pub fn of_difference(difference: &'a Difference) -> Self {
        Self(Kind::Difference(difference.into()))
    }

    /// The object that shows this facility.
    #[must_use]
    pub fn of_facility(facility: &'a Facility) -> Self {
        Self(Kind::Facility(facility.into()))
    }

    /// The object that shows this hazard.
    #[must_use]
    pub fn of_hazard(hazard: &'a Hazard) -> Self {
        Self(Kind::Hazard(hazard.into()))
    }
}

/// Writes the lines of a stream.
#[derive(Debug, Default)]
pub struct Lines(FastJson);

impl Lines {
    /// Appends the line that shows this output.
    ///
    /// # Errors
    /// None that is known of: serde's traits have it so.
    pub fn write(&mut self, event: &Output, clock: Option<Clock>, out: &mut Vec<u8>) -> io::Result<()> {
        match event {
            Output::Transition(transition) => self.0.transition(transition, Calendar(clock), out),
            Output::Connection(connection) => self.0.connection(connection, Calendar(clock), out),
            event => {
                serde_json::to_writer(&mut *out, &Object::of(event, clock))?;
                out.push(b'\n');
            }
        }
        Ok(())
    }
}
