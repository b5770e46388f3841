//! One behaviour of an audit: what was expected and what was observed.

use std::fmt;

use super::{Packet, SocketId, State, Transition, path_text};

/// The parts of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BehaviourGroup {
    /// Opening a connection.
    Open,
    /// Listening and accepting.
    Listen,
    /// Closing a connection.
    Close,
    /// Binding, sharing and exhausting ports.
    Ports,
}

impl BehaviourGroup {
    /// Every group, in the order of the report.
    pub const ALL: [Self; 4] = [Self::Open, Self::Listen, Self::Close, Self::Ports];

    /// Its topic, as a phrase.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Open => "opening a connection",
            Self::Listen => "listening and accepting",
            Self::Close => "closing a connection",
            Self::Ports => "binding, sharing and exhausting ports",
        }
    }

    /// The group with this [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.name() == name)
    }

    /// The name in output, in flags, and before the slash of an id.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Listen => "listen",
            Self::Close => "close",
            Self::Ports => "ports",
        }
    }
}

/// The outcome of a behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BehaviourStatus {
    /// As the reference says, or a known variant of it.
    AsExpected,
    /// Neither.
    Differs,
    /// This host lacks what it needs.
    Unsupported,
    /// The audit itself failed: it says nothing about the kernel.
    Failed,
}

impl BehaviourStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::AsExpected, Self::Differs, Self::Unsupported, Self::Failed];

    /// The name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AsExpected => "as-expected",
            Self::Differs => "differs",
            Self::Unsupported => "unsupported",
            Self::Failed => "failed",
        }
    }
}

/// What is expected or was observed: the path of each socket by its label, and named facts (what calls returned, what was
/// read or counted, what the wire carried).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// The states of each socket, the initial one included.
    pub paths: Vec<(String, Vec<State>)>,
    /// Everything else, by name.
    pub facts: Vec<(String, String)>,
}

impl fmt::Display for Observation {
    /// `client: CLOSE → SYN_SENT → CLOSE; connect: ECONNREFUSED`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.paths.iter().map(|(label, path)| format!("{label}: {}", path_text(path)));
        let facts = self.facts.iter().map(|(name, value)| format!("{name}: {value}"));
        let all: Vec<String> = paths.chain(facts).collect();
        f.pad(&if all.is_empty() { "nothing".to_owned() } else { all.join("; ") })
    }
}

/// The result of one behaviour.
#[derive(Clone, Debug, PartialEq)]
pub struct BehaviourResult {
    /// The id, such as `open/simultaneous`.
    pub id: String,
    /// One sentence.
    pub description: String,
    /// The part of the catalogue.
    pub group: BehaviourGroup,
    /// What it needs of the host, such as `wire` or `net.ipv4.tcp_fastopen`.
    pub needs: Vec<String>,
    /// The outcome.
    pub status: BehaviourStatus,
    /// What the reference says, or the known variant that was observed.
    pub expected: Observation,
    /// What was observed.
    pub observed: Observation,
    /// Why the kernel shows the known variant, where it does.
    pub variant: Option<String>,
    /// Why it is unsupported or failed.
    pub reason: Option<String>,
    /// RFC section, manual page or commit.
    pub reference: String,
    /// The transitions that the kernel reported, each with its socket's label.
    pub transitions: Vec<(Option<String>, Transition)>,
    /// The packets that the wire carried.
    pub packets: Vec<Packet>,
    /// The sockets' labels by their ids.
    pub labels: Vec<(SocketId, String)>,
}
