//! The two lines of which a busy host has hundreds of thousands a second, written without serde: byte for byte what
//! [`TransitionObject`](super::life::TransitionObject) and [`ConnectionObject`](super::life::ConnectionObject) come to.
//!
//! To write them was most of the reader's work. What serde_json spends most of its time on is not needed here: to
//! search every field's name for characters to escape, and to hand on a line in a hundred pieces. And since most of a
//! line was in one of the lines before (whose socket it is, between which ends, how it moved), that is kept and copied.
//! The tests hold both ways against each other.

mod fragment;
mod fragment_cache;
mod line;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::{
    fragment::{AddressFragment, Identity, OpenAndClose, PathFragment, Step},
    fragment_cache::FragmentCache,
    line::Line,
};
use super::time::{Calendar, Seconds};
use crate::{
    model::{Cause, Connection, Edge, Mono, Open, Owner, StatePath, Transition},
    record::nanoseconds,
};

/// The lines of one stream.
#[derive(Debug, Default)]
pub struct FastJson {
    seconds: Seconds,
    identities: FragmentCache<Identity, 64>,
    steps: FragmentCache<(Edge, Option<Cause>), 160>,
    places: FragmentCache<AddressFragment, 64>,
    ways: FragmentCache<(Open, Option<Cause>), 256>,
    courses: FragmentCache<StatePath, 64>,
    owners: FragmentCache<Arc<Owner>, 32>,
}

impl FastJson {
    /// Appends the line of a transition.
    pub fn transition(&mut self, transition: &Transition, calendar: Calendar, out: &mut Vec<u8>) {
        let mut line = Line::begin(out);
        line.word(r#"{"type":"transition","v":1,"time":"#);
        line.time(Some(transition.at), calendar, &mut self.seconds);
        line.word(r#","mono_ns":"#);
        line.number(transition.at.0);
        line.word(r#","seq":"#);
        line.number(transition.seq);
        self.identities.write(&Identity::from(transition), &mut line);
        self.steps.write(&Step::from(transition), &mut line);
        line.word(r#","owner":"#);
        self.owners.write(&&transition.owner, &mut line);
        line.word(r#","cpu":"#);
        line.number(transition.cpu);
        line.word(r#","state_duration_ns":"#);
        line.any_number(transition.state_duration.map(nanoseconds));
        line.word("}\n");
    }

    /// Appends the line of a connection.
    pub fn connection(&mut self, connection: &Connection, calendar: Calendar, out: &mut Vec<u8>) {
        let Connection { opened, established, .. } = *connection;
        let closed = connection.close.as_ref().map(|close| close.at);
        let between = |from: Option<Mono>, to: Option<Mono>| Some(to?.nanoseconds_since(from?));
        let mut line = Line::begin(out);
        line.word(r#"{"type":"connection","v":1"#);
        let identity = Identity::from(connection);
        // It will hardly come again.
        if !self.identities.copy(&identity, &mut line) {
            identity.write_around(&mut line, |place, line| self.places.write(place, line));
        }
        self.ways.write(&OpenAndClose::from(connection), &mut line);
        line.word(r#","opened":"#);
        line.time(opened, calendar, &mut self.seconds);
        line.word(r#","established":"#);
        line.time(established, calendar, &mut self.seconds);
        line.word(r#","closed":"#);
        line.time(closed, calendar, &mut self.seconds);
        line.word(r#","path":["#);
        self.courses.write(&PathFragment::from(connection), &mut line);
        line.word(r#"],"duration_ns":"#);
        line.any_number(between(opened, closed));
        line.word(r#","handshake_ns":"#);
        line.any_number(between(opened, established));
        line.counters(connection.counters.as_ref());
        line.word(r#","owner":"#);
        self.owners.write(&&connection.owner, &mut line);
        line.word(r#","complete":"#);
        line.word(if connection.complete { "true}\n" } else { "false}\n" });
    }
}
