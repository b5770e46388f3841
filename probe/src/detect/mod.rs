//! What is worth an engineer's attention: one detector a file, all behind one trait.
//!
//! Pure: transitions in, findings out. A detector says only what is certain; what it cannot know it
//! leaves out. A new one is a file here, and a line in [`all`].

mod illegal_transition;
mod port_sharing;
mod self_connect;
mod simultaneous_close;
mod simultaneous_open;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use self::{
    illegal_transition::IllegalTransition, port_sharing::PortSharing, self_connect::SelfConnect,
    simultaneous_close::SimultaneousClose, simultaneous_open::SimultaneousOpen,
};
use crate::model::{
    BindFailure, Connection, Finding, FindingKind, Host, Listed, Mono, Owner, State, Transition,
};

/// Something that looks at every transition.
pub trait Detector {
    /// Takes the next transition, and says what it shows.
    fn observe(&mut self, context: &Context<'_>) -> Option<Finding>;

    /// Takes a socket that was there before the stream began.
    fn existing(&mut self, _at: Mono, _socket: &Listed) {}

    /// Takes a connection of which nothing but its end was reported, and says what that alone shows.
    fn ended(&mut self, _connection: &Connection) -> Option<Finding> {
        None
    }

    /// Takes a bind(2) that was refused.
    fn bind_failed(&mut self, _failure: &BindFailure) -> Option<Finding> {
        None
    }

    /// So late is it now: the only way in which time passes by itself here.
    fn tick(&mut self, _now: Mono) -> Vec<Finding> {
        Vec::new()
    }

    /// Reports were lost: what was remembered of other sockets may be out of date.
    fn lost(&mut self) {}
}

/// Every detector, in the order in which their findings are told.
#[must_use]
pub fn all(host: &Host) -> Vec<Box<dyn Detector>> {
    vec![
        Box::new(SelfConnect::new(host)),
        Box::new(SimultaneousOpen),
        Box::new(SimultaneousClose),
        Box::new(PortSharing::default()),
        Box::new(IllegalTransition),
    ]
}

/// A transition, and what is known of its socket by then.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The transition.
    pub transition: &'a Transition,
    /// The state in which the report before this one left the socket; `None` where that was not
    /// seen, or where reports may be missing between the two.
    pub previous: Option<State>,
    /// The socket's connection, this transition included; `None` for a listener.
    pub connection: Option<&'a Connection>,
    /// The `seq` of each transition of that connection so far, this one's last.
    pub trail: &'a [u64],
}

impl Context<'_> {
    /// A finding about this socket, with the whole trail as evidence.
    fn finding(&self, kind: FindingKind, explain: String) -> Finding {
        Finding {
            kind,
            at: self.transition.at,
            socket: Some(self.transition.socket),
            netns: self.transition.netns,
            ends: self.transition.ends,
            owner: self.transition.owner.clone(),
            explain,
            cure: None,
            evidence: if self.trail.is_empty() { vec![self.transition.seq] } else { self.trail.to_vec() },
        }
    }
}

/// The owner as the subject of a sentence.
fn who(owner: &Owner) -> String {
    match owner.task {
        Some(_) => owner.to_string(),
        None => "a process that is not known".to_owned(),
    }
}
