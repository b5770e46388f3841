//! How scenarios run.

use std::time::Duration;

use crate::model::Family;

/// How scenarios run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What connects the two endpoints of a simultaneous open.
    pub wire: WireKind,
    /// The one-way delay of the emulated wire.
    pub delay: Duration,
    /// The address family of all sockets.
    pub family: Family,
    /// The network namespace that the sockets are created in.
    pub netns: Netns,
    /// Corrupts one expectation, so that the verdict must be a failure. Tests use it to prove that a check
    /// can fail.
    pub inject_failure: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            wire: WireKind::Tun,
            delay: Duration::from_millis(40),
            family: Family::Ipv4,
            netns: Netns::Private,
            inject_failure: false,
        }
    }
}

/// What connects the two endpoints of a simultaneous open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireKind {
    /// An emulated wire between TUN devices in two namespaces.
    Tun,
    /// One loopback device, on which the two connect calls race.
    Loopback,
}

/// The network namespace that a scenario runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Netns {
    /// New namespaces, which disappear with the scenario.
    Private,
    /// The namespace that the process was started in. The scenario changes none of its settings.
    Host,
}
