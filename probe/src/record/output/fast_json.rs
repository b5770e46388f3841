//! Writes the two objects of which a busy host produces hundreds of thousands a second, without serde: byte for byte
//! what [`TransitionObject`](super::transition::TransitionObject) and
//! [`ConnectionObject`](super::connection::ConnectionObject) serialize to.
//!
//! serde_json was most of the reader's CPU time. It checks every field name for characters to escape and passes a line on
//! in a hundred pieces. Most of a line was also in a recent line (the owner, the endpoints, the transition and its
//! cause), so that those fragments are cached and copied. The tests compare both writers.

mod fragment;
mod fragment_cache;
mod line;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::{
    fragment::{AddressFragment, IdentityFragment, OpenCloseFragment, PathFragment, StepFragment},
    fragment_cache::FragmentCache,
    line::Line,
};
use super::time::{SecondCache, StreamTime};
use crate::{
    model::{Cause, Connection, Edge, Mono, Owner, StatePath, Transition},
    record::nanoseconds,
};

/// The writer of one stream, with its caches.
#[derive(Debug, Default)]
pub struct FastJson {
    seconds: SecondCache,
    identities: FragmentCache<IdentityFragment, 64>,
    steps: FragmentCache<(Edge, Option<Cause>), 160>,
    addresses: FragmentCache<AddressFragment, 64>,
    opens_and_closes: FragmentCache<OpenCloseFragment, 256>,
    paths: FragmentCache<StatePath, 64>,
    owners: FragmentCache<Arc<Owner>, 32>,
}

impl FastJson {
    /// Appends the line of a transition.
    pub fn transition(&mut self, transition: &Transition, time: StreamTime, out: &mut Vec<u8>) {
        let mut line = Line::new(out);
        line.raw(r#"{"type":"transition","v":1,"time":"#);
        line.time(time.of(transition.at), &mut self.seconds);
        line.raw(r#","mono_ns":"#);
        line.integer(transition.at.0);
        line.raw(r#","seq":"#);
        line.integer(transition.seq);
        self.identities.write(&IdentityFragment::from(transition), &mut line);
        self.steps.write(&StepFragment::from(transition), &mut line);
        line.raw(r#","owner":"#);
        self.owners.write(&&transition.owner, &mut line);
        line.raw(r#","cpu":"#);
        line.integer(transition.cpu);
        line.raw(r#","state_duration_ns":"#);
        line.integer_or_null(transition.state_duration.map(nanoseconds));
        line.raw("}\n");
    }

    /// Appends the line of a connection.
    pub fn connection(&mut self, connection: &Connection, time: StreamTime, out: &mut Vec<u8>) {
        let Connection { opened, established, .. } = *connection;
        let closed = connection.close.as_ref().map(|close| close.at);
        let known = |at: Option<Mono>| at.and_then(|at| time.of(at));
        let between = |from: Option<Mono>, to: Option<Mono>| Some(to?.nanoseconds_since(from?));
        let mut line = Line::new(out);
        line.raw(r#"{"type":"connection","v":1,"time":"#);
        line.time(time.of_connection(connection), &mut self.seconds);
        let identity = IdentityFragment::from(connection);
        // Not cached if new: this is the last line of the connection.
        if !self.identities.copy(&identity, &mut line) {
            identity.write_with(&mut line, |address, line| self.addresses.write(address, line));
        }
        self.opens_and_closes.write(&OpenCloseFragment::from(connection), &mut line);
        line.raw(r#","opened":"#);
        line.time(known(opened), &mut self.seconds);
        line.raw(r#","established":"#);
        line.time(known(established), &mut self.seconds);
        line.raw(r#","closed":"#);
        line.time(known(closed), &mut self.seconds);
        line.raw(r#","path":["#);
        self.paths.write(&PathFragment::from(connection), &mut line);
        line.raw(r#"],"duration_ns":"#);
        line.integer_or_null(between(opened, closed));
        line.raw(r#","handshake_ns":"#);
        line.integer_or_null(between(opened, established));
        line.counters(connection.counters.as_ref());
        line.raw(r#","owner":"#);
        self.owners.write(&&connection.owner, &mut line);
        line.raw(r#","complete":"#);
        line.raw(if connection.complete { "true}\n" } else { "false}\n" });
    }
}
