//! The scenarios: drivers that make connections, and what each expects the kernel to report about them.
//!
//! A scenario never sees the kernel's reports. It drives sockets and returns a [`ScenarioRun`]: which sockets it
//! created, what the calls returned and which states each socket must have gone through. The session collects the
//! reports meanwhile and checks the run's expectations against them.
//!
//! - [`driver`]: the trait that a scenario implements
//! - [`options`]: how scenarios run
//! - [`context`]: what a driver uses: namespaces, wires, sockets, expectations
//! - [`scenario_run`]: what a driver leaves behind, its checks and the verdict
//! - [`expectation`]: expectations as data, checked against transitions
//! - `labelled_socket`: the sockets that a driver creates
//! - `namespace_pair`: two namespaces with a wire between them
//! - `open_outcome`: how a connect ended, as the kernel reported it
//! - `path`: the states that a socket went through
//! - `port_holder`: which socket holds a port that a bind was refused
//! - `resolve`: which transitions belong to which socket
//! - [`shared_port`], [`simultaneous_open`], [`self_connect`]: the scenarios
//! - [`rendezvous`]: a simultaneous open with another host, which must run its part of it
//!
//! A new scenario is a file with a [`Scenario`] and a line in [`all`].

pub mod context;
pub mod driver;
pub mod expectation;
mod labelled_socket;
mod namespace_pair;
mod open_outcome;
pub mod options;
mod path;
mod port_holder;
pub mod rendezvous;
pub(crate) mod resolve;
pub mod scenario_run;
pub mod self_connect;
pub mod shared_port;
pub mod simultaneous_open;
mod step_error;
#[cfg(test)]
mod testing;

use std::sync::Arc;

pub use context::Context;
pub use driver::{PAYLOAD, Scenario, run};
pub use expectation::Expectation;
pub use labelled_socket::{LabelledSocket, SocketIndex};
pub use namespace_pair::{Capture, NamespacePair};
pub use options::{Netns, Options, WireKind};
pub use path::Span;
pub use scenario_run::ScenarioRun;
pub use step_error::{Step, StepError};
pub(crate) use {context::simultaneous_open_allowed, path::path};

/// Every scenario, in the order in which they run.
#[must_use]
pub fn all() -> [Arc<dyn Scenario>; 3] {
    [
        Arc::new(shared_port::SharedPort),
        Arc::new(simultaneous_open::SimultaneousOpen),
        Arc::new(self_connect::SelfConnect),
    ]
}

/// The scenario with this name.
#[must_use]
pub fn by_name(name: &str) -> Option<Arc<dyn Scenario>> {
    all().into_iter().find(|scenario| scenario.name() == name)
}
