//! What a host can give to the tool, and what on it is likely to go wrong.

use super::{Endpoint, Owner, PortRange};

/// What was found out about a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// What the tool builds on, by group.
    pub facilities: Vec<Facility>,
    /// What may go wrong, by network namespace, in the order of the ports.
    pub hazards: Vec<Hazard>,
    /// Why nothing can be traced here, and what remedies that; `None` where it can.
    pub refusal: Option<String>,
}

/// Where a facility belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FacilityGroup {
    /// The machine, and what this process may do on it.
    Host,
    /// What the programs in the kernel need.
    Kernel,
    /// What the tool asks of the kernel besides.
    User,
    /// Settings of the calling process's network namespace.
    Sysctl,
}

impl FacilityGroup {
    /// Every group, in the order in which they are shown.
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

/// Whether a facility is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FacilityStatus {
    /// It works.
    Ok,
    /// It does not.
    Unavailable,
    /// It could not be tried.
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

/// Something that the tool builds on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facility {
    /// Where it belongs.
    pub group: FacilityGroup,
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub status: FacilityStatus,
    /// What was seen of it.
    pub observed: String,
    /// What depends on it: the command or the column that suffers without. Of a sysctl, what its value
    /// decides.
    pub costs: String,
    /// What would put it in place.
    pub remedy: Option<String>,
}

/// Something that is likely to go wrong on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hazard {
    /// What it is, with what belongs to it.
    pub facts: HazardFacts,
    /// The network namespace's inode number.
    pub netns: u32,
    /// The address, and the port where one is meant.
    pub local: Endpoint,
    /// Whose it is.
    pub owner: Owner,
    /// The command line, or the sentence, that remedies it. Hazards of one namespace that one command
    /// remedies have the same.
    pub remedy: Option<String>,
}

/// The kinds of hazards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HazardKind {
    /// A listener in the ephemeral range.
    EphemeralListener,
    /// A socket that is connected to itself.
    SelfConnected,
    /// An ephemeral range that is nearly used up.
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

/// What is known of a hazard, by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HazardFacts {
    /// A listener whose port the kernel may choose for a client: one that tries again while the server
    /// is down can then connect to itself.
    EphemeralListener {
        /// `ip_local_port_range` of its namespace.
        range: PortRange,
        /// Which call chooses it.
        reach: PortReach,
    },
    /// A socket that is connected to itself at this moment, or was and stays in TIME_WAIT.
    SelfConnected {
        /// Whether the connection is over.
        time_wait: bool,
    },
    /// Hardly a port is left for further connections from one address to one other end.
    EphemeralExhaustion {
        /// The other end.
        remote: Endpoint,
        /// Ports taken.
        used: usize,
        /// Those of them that only a TIME_WAIT holds.
        time_wait: usize,
        /// Ports that there are: the range's without the reserved ones.
        available: usize,
    },
}

/// Which call comes first to a port of the ephemeral range. connect(2) tries the half that has the
/// parity of the range's low end before the other (`__inet_hash_connect`), and bind(2) to port 0 does
/// the opposite (`inet_csk_find_open_port`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortReach {
    /// connect(2).
    Connect,
    /// bind(2) to port 0; connect(2) where no port of its own half is left.
    Bind,
}

impl PortReach {
    /// Which call chooses this port; `None` where none does: it lies outside, or it is the last one of
    /// an odd number, which both leave out.
    #[must_use]
    pub fn of(port: u16, range: &PortRange) -> Option<Self> {
        if !range.contains(&port) {
            return None;
        }
        let place = port - range.start();
        let count = u32::from(range.end() - range.start()) + 1;
        let searched = if count > 1 { count & !1 } else { count };
        match place % 2 {
            _ if u32::from(place) >= searched => None,
            0 => Some(Self::Connect),
            _ => Some(Self::Bind),
        }
    }

    /// Which call, in words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Bind => "bind to port 0, or connect when its own half is used up",
        }
    }
}

impl Hazard {
    /// What kind of thing it is.
    #[must_use]
    pub fn kind(&self) -> HazardKind {
        match self.facts {
            HazardFacts::EphemeralListener { .. } => HazardKind::EphemeralListener,
            HazardFacts::SelfConnected { .. } => HazardKind::SelfConnected,
            HazardFacts::EphemeralExhaustion { .. } => HazardKind::EphemeralExhaustion,
        }
    }

    /// What can happen, in one sentence.
    #[must_use]
    pub fn message(&self) -> String {
        match &self.facts {
            HazardFacts::EphemeralListener { range, reach } => {
                let port = self.local.port_or_zero();
                let (low, high) = (range.start(), range.end());
                let chosen = reach.text();
                format!(
                    "port {port} lies in the ephemeral range {low}-{high}: while its server is down, a client on \
                     this host that keeps trying it can be given the same port by the kernel ({chosen}) and \
                     connect to itself, and then the server cannot bind it"
                )
            }
            HazardFacts::SelfConnected { time_wait: false } => {
                let local = self.local;
                format!("a socket is connected to itself at {local}, and holds the port until it is closed")
            }
            HazardFacts::SelfConnected { time_wait: true } => {
                let local = self.local;
                format!(
                    "a socket was connected to itself at {local}, and its TIME_WAIT holds the port, against \
                     SO_REUSEADDR too where that socket had not set it"
                )
            }
            HazardFacts::EphemeralExhaustion { remote, used, time_wait, available } => format!(
                "{used} of {available} ephemeral ports are taken by connections from {} to {remote}, {time_wait} of \
                 them in TIME_WAIT: when none is left, connect fails with EADDRNOTAVAIL",
                self.local.addr
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_ends_parity_is_connects() {
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
    fn the_last_of_an_odd_number_is_nobodys() {
        assert_eq!(PortReach::of(1316, &(1314..=1316)), None);
        assert_eq!(PortReach::of(1315, &(1314..=1316)), Some(PortReach::Bind));
        assert_eq!(PortReach::of(1314, &(1314..=1314)), Some(PortReach::Connect));
        assert_eq!(PortReach::of(0, &(0..=65535)), Some(PortReach::Connect));
        assert_eq!(PortReach::of(65535, &(0..=65535)), Some(PortReach::Bind));
    }
}
