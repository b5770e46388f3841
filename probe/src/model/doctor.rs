//! What a host provides to the tool, and hazards on it.

use super::{Endpoint, Owner, PortRange};

/// The diagnosis of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// What the tool relies on, by group.
    pub facilities: Vec<Facility>,
    /// Hazards, by network namespace and port.
    pub hazards: Vec<Hazard>,
    /// Why this host cannot trace, and the remedy; `None` where it can.
    pub refusal: Option<String>,
}

/// The group of a facility.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FacilityGroup {
    /// The machine, and this process's privileges on it.
    Host,
    /// What the BPF programs need.
    Kernel,
    /// What else the tool needs of the kernel.
    User,
    /// Settings of the calling process's network namespace.
    Sysctl,
}

impl FacilityGroup {
    /// Every group, in display order.
    pub const ALL: [Self; 4] = [Self::Host, Self::Kernel, Self::User, Self::Sysctl];

    /// The name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Kernel => "kernel",
            Self::User => "user",
            Self::Sysctl => "sysctl",
        }
    }
}

/// Whether a facility is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FacilityStatus {
    /// It works.
    Ok,
    /// It does not work here.
    Unavailable,
    /// It could not be tested.
    Unknown,
}

impl FacilityStatus {
    /// The name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
        }
    }
}

/// Something that the tool relies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facility {
    /// Its group.
    pub group: FacilityGroup,
    /// Its name.
    pub name: String,
    /// Whether it is available.
    pub status: FacilityStatus,
    /// What was observed.
    pub observed: String,
    /// What is lost without it: a command or a column. For a sysctl, what its value controls.
    pub costs: String,
    /// How to make it available.
    pub remedy: Option<String>,
}

/// Something that may cause a failure on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hazard {
    /// What it is.
    pub facts: HazardFacts,
    /// The network namespace's inode number.
    pub netns: u32,
    /// The address, with the port where it concerns one.
    pub local: Endpoint,
    /// The socket's owner.
    pub owner: Owner,
    /// The remedy: a command line or a sentence. Hazards of one namespace that one command removes have the same remedy.
    pub remedy: Option<String>,
}

/// The kinds of hazards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HazardKind {
    /// A listener in the ephemeral range.
    EphemeralListener,
    /// A socket that is connected to itself.
    SelfConnected,
    /// An ephemeral range that is nearly exhausted.
    EphemeralExhaustion,
}

impl HazardKind {
    /// The name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EphemeralListener => "ephemeral-listener",
            Self::SelfConnected => "self-connected",
            Self::EphemeralExhaustion => "ephemeral-exhaustion",
        }
    }
}

/// The facts of a hazard, by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HazardFacts {
    /// A listener whose port the kernel may pick for a client: a client that retries while the server is down can then
    /// connect to itself.
    EphemeralListener {
        /// `ip_local_port_range` of its namespace.
        range: PortRange,
        /// Which call picks it.
        reach: PortReach,
    },
    /// A socket that is connected to itself, or the TIME_WAIT of one.
    SelfConnected {
        /// Whether the connection is over.
        time_wait: bool,
    },
    /// Few ports are free for more connections from one address to one remote endpoint.
    EphemeralExhaustion {
        /// The remote endpoint.
        remote: Endpoint,
        /// Ports in use.
        used: usize,
        /// How many of them only a TIME_WAIT holds.
        time_wait: usize,
        /// Ports in the range that are not reserved.
        available: usize,
    },
}

/// Which call picks a port of the ephemeral range first. connect(2) tries ports with the parity of the range's low end
/// before the others (`__inet_hash_connect`), and bind(2) to port 0 does the opposite (`inet_csk_find_open_port`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortReach {
    /// connect(2).
    Connect,
    /// bind(2) to port 0; connect(2) where all ports of its own parity are in use.
    Bind,
}

impl PortReach {
    /// Which call picks this port; `None` where none does: it is outside the range, or the last port of a range of odd
    /// size, which both skip.
    #[must_use]
    pub fn of(port: u16, range: &PortRange) -> Option<Self> {
        if !range.contains(&port) {
            return None;
        }
        let offset = port - range.start();
        let count = u32::from(range.end() - range.start()) + 1;
        let searched = if count > 1 { count & !1 } else { count };
        match offset % 2 {
            _ if u32::from(offset) >= searched => None,
            0 => Some(Self::Connect),
            _ => Some(Self::Bind),
        }
    }

    /// The call, as a phrase.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Bind => "bind to port 0, or connect when all ports of its own parity are in use",
        }
    }
}

impl Hazard {
    /// The kind of hazard.
    #[must_use]
    pub fn kind(&self) -> HazardKind {
        match self.facts {
            HazardFacts::EphemeralListener { .. } => HazardKind::EphemeralListener,
            HazardFacts::SelfConnected { .. } => HazardKind::SelfConnected,
            HazardFacts::EphemeralExhaustion { .. } => HazardKind::EphemeralExhaustion,
        }
    }

    /// What may happen, in one sentence.
    #[must_use]
    pub fn message(&self) -> String {
        match &self.facts {
            HazardFacts::EphemeralListener { range, reach } => {
                let port = self.local.port_or_zero();
                let (low, high) = (range.start(), range.end());
                let picked_by = reach.text();
                format!(
                    "port {port} is in the ephemeral range {low}-{high}: while the server is down, the kernel may pick \
                     {port} ({picked_by}) for a client on this host that retries it; the client then connects to itself, \
                     and the server cannot bind"
                )
            }
            HazardFacts::SelfConnected { time_wait: false } => {
                let local = self.local;
                format!("a socket is connected to itself at {local} and holds the port until it is closed")
            }
            HazardFacts::SelfConnected { time_wait: true } => {
                let local = self.local;
                format!(
                    "a socket was connected to itself at {local}, and its TIME_WAIT holds the port: bind fails even with \
                     SO_REUSEADDR, unless that socket had set it too"
                )
            }
            HazardFacts::EphemeralExhaustion { remote, used, time_wait, available } => format!(
                "connections from {} to {remote} use {used} of {available} ephemeral ports, {time_wait} of them in \
                 TIME_WAIT: when none is free, connect fails with EADDRNOTAVAIL",
                self.local.addr
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_picks_the_parity_of_the_low_end() {
        let even = 32768..=60999;
        assert_eq!(PortReach::of(32768, &even), Some(PortReach::Connect));
        assert_eq!(PortReach::of(50051, &even), Some(PortReach::Bind));
        assert_eq!(PortReach::of(60998, &even), Some(PortReach::Connect));
        assert_eq!(PortReach::of(60999, &even), Some(PortReach::Bind));
        assert_eq!(PortReach::of(50051, &(1025..=65000)), Some(PortReach::Connect));
        assert_eq!(PortReach::of(61000, &even), None);
        assert_eq!(PortReach::of(80, &even), None);
    }

    #[test]
    fn neither_call_picks_the_last_port_of_an_odd_range() {
        assert_eq!(PortReach::of(1316, &(1314..=1316)), None);
        assert_eq!(PortReach::of(1315, &(1314..=1316)), Some(PortReach::Bind));
        assert_eq!(PortReach::of(1314, &(1314..=1314)), Some(PortReach::Connect));
        assert_eq!(PortReach::of(0, &(0..=65535)), Some(PortReach::Connect));
        assert_eq!(PortReach::of(65535, &(0..=65535)), Some(PortReach::Bind));
    }
}
