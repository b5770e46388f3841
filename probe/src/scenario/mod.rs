//! The scenarios: drivers that make connections, and what each expects the kernel to report of them.
//!
//! A scenario never sees the kernel's reports. It drives sockets and leaves a [`Story`]: which sockets
//! took part, what the calls returned, which states each socket must have gone through. The session
//! reads the reports meanwhile and holds the story against them.
//!
//! - [`stage`]: where a driver plays: namespaces, the wire, sockets that join the story
//! - `pair`: two namespaces and the wire between them
//! - [`story`]: what it tells, and the verdict
//! - [`expect`]: expectations as data, held against transitions
//! - `occupant`: who is in the way of a bind
//! - `opening`: how a connect came out, by the kernel's report
//! - `path`: the states that a socket went through
//! - `resolve`: which transitions are about which socket
//! - [`shared_port`], [`simultaneous_open`], [`self_connect`]: the scenarios
//! - [`rendezvous`]: simultaneous open with another host, which needs one that plays along
//!
//! A new one is a file with a [`Scenario`] and a line in [`all`].

pub mod expect;
mod occupant;
mod opening;
mod pair;
mod path;
pub mod rendezvous;
pub(crate) mod resolve;
pub mod self_connect;
pub mod shared_port;
pub mod simultaneous_open;
pub mod stage;
mod step_error;
pub mod story;
#[cfg(test)]
mod testing;

use std::{sync::Arc, time::Duration};

use crate::model::Family;

pub use expect::{ActorId, Expectation, Span};
pub use pair::{Capture, Pair};
pub use stage::Stage;
pub use step_error::{Step, StepError};
pub use story::{Actor, Story};
pub(crate) use {path::path, stage::crossing_is_allowed};

/// What both sides say to each other.
pub const PAYLOAD: &str = "I love you.";

/// How scenarios are to be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What joins the two ends of a simultaneous open.
    pub wire: WireKind,
    /// How long a packet travels on the emulated wire, each way.
    pub delay: Duration,
    /// The family of all sockets.
    pub family: Family,
    /// Where the sockets live.
    pub netns: Netns,
    /// Makes one expectation wrong, so that the verdict must be a failure: the proof that it can be.
    pub sabotage: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            wire: WireKind::Tun,
            delay: Duration::from_millis(40),
            family: Family::Ipv4,
            netns: Netns::Private,
            sabotage: false,
        }
    }
}

/// What joins the two ends of a simultaneous open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireKind {
    /// Two namespaces and a cable between their TUN devices.
    Tun,
    /// One loopback device, on which the two ends race.
    Loopback,
}

/// In which network namespace a scenario plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Netns {
    /// New ones, which vanish with the scenario.
    Private,
    /// The one that the process was started in. Nothing there is changed.
    Host,
}

/// A driver with its expectations.
pub trait Scenario: Send + Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// What it shows, in one sentence.
    fn summary(&self) -> &str;

    /// Makes the connections, waits for each step's outcome, and closes every socket that is in the
    /// story, so that all of them have reached CLOSE when this returns.
    ///
    /// # Errors
    /// [`StepError`]: what this host cannot do, or a step that failed.
    fn drive(&self, stage: &mut Stage) -> Result<(), StepError>;
}

/// Every scenario, in the order in which they run.
#[must_use]
pub fn all() -> [Arc<dyn Scenario>; 3] {
    [
        Arc::new(shared_port::SharedPort),
        Arc::new(simultaneous_open::SimultaneousOpen),
        Arc::new(self_connect::SelfConnect),
    ]
}

/// The scenario of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<Arc<dyn Scenario>> {
    all().into_iter().find(|scenario| scenario.name() == name)
}

/// Plays a scenario: blocks until its driver has ended, so give it a thread. Every socket of the story
/// is closed then; the reports may still be on their way (see [`Story::settled`]).
#[must_use]
pub fn play(scenario: &dyn Scenario, options: &Options) -> Story {
    let mut stage = Stage::new(scenario.name(), options.clone());
    let result = scenario.drive(&mut stage);
    stage.end(result)
}
