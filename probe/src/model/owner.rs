//! The owner of a socket, and how it is known.

use std::{
    borrow::Cow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, LazyLock},
};

use super::Cgroup;

/// A task's name or a cgroup's path: arbitrary bytes that a process chose, so that it is only displayed escaped.
///
/// Copies are cheap, since every transition carries its owner's name: short names, such as every task's, are stored
/// inline, and copies of long ones share their bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(Bytes);

/// The longest name that is stored inline, in bytes.
const SHORT: usize = 22;

/// Each name has one representation: a short one is always inline and padded with zeros.
#[derive(Clone, PartialEq, Eq)]
enum Bytes {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Arc<[u8]>),
}

impl Name {
    /// The name up to the first NUL.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        if name.len() > SHORT {
            return Self(Bytes::Long(name.into()));
        }
        let mut bytes = [0; SHORT];
        bytes[..name.len()].copy_from_slice(name);
        Self(Bytes::Short { length: name.len() as u8, bytes })
    }

    /// The name as text with invalid UTF-8 replaced. Control characters remain.
    #[must_use]
    pub fn to_text(&self) -> Cow<'_, str> {
        // Most are valid UTF-8, and checking that alone is cheaper.
        str::from_utf8(self.as_bytes())
            .map_or_else(|_| String::from_utf8_lossy(self.as_bytes()), Cow::Borrowed)
    }

    /// The name as the process chose it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short { length, bytes } => &bytes[..usize::from(*length)],
            Bytes::Long(bytes) => bytes,
        }
    }

    /// Whether the name is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for Name {
    /// Safe for a terminal: control and bidirectional formatting characters are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&escape(&self.to_text()))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_text(), f)
    }
}

/// Makes untrusted text safe for a terminal: escapes control and bidirectional formatting characters.
#[must_use]
pub fn escape(text: &str) -> String {
    let is_bidi =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control() || is_bidi(c);
            let one = (!escaped).then_some(c);
            escaped.then(|| c.escape_default()).into_iter().flatten().chain(one)
        })
        .collect()
}

/// A task at the moment of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The process (thread group) id in the initial pid namespace.
    pub pid: u32,
    /// The user id in the initial user namespace.
    pub uid: u32,
    /// The process's name; the thread's on a kernel without BTF.
    pub comm: Name,
}

/// How an owner is known, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Known {
    /// A transition ran in a system call of the owner.
    Exact,
    /// The owner of the listener that accepted the socket.
    Listener,
    /// For a pre-existing socket: the process that had a descriptor of it when the trace began, from /proc; otherwise, as a
    /// guess, the task on the CPU when a system call first moved it.
    Inferred,
    /// It is not.
    Unknown,
}

impl Known {
    /// The name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Listener => "listener",
            Self::Inferred => "inferred",
            Self::Unknown => "unknown",
        }
    }
}

/// The owner of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The process; `None` exactly where `known` is [`Known::Unknown`].
    pub task: Option<Task>,
    /// Its cgroup, where known.
    pub cgroup: Option<Cgroup>,
    /// How the owner is known.
    pub known: Known,
}

impl Owner {
    /// No known owner.
    pub const UNKNOWN: Self = Self { task: None, cgroup: None, known: Known::Unknown };

    /// No known owner, shared.
    #[must_use]
    pub fn unknown() -> Arc<Self> {
        static UNKNOWN: LazyLock<Arc<Owner>> = LazyLock::new(|| Arc::new(Owner::UNKNOWN));
        Arc::clone(&UNKNOWN)
    }
}

impl fmt::Display for Owner {
    /// `comm[pid]`, safe for a terminal; `unknown` for an unknown owner.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.task {
            Some(task) => f.pad(&format!("{}[{}]", task.comm, task.pid)),
            None => f.pad("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_bidi_characters_in_a_name_are_escaped() {
        let name = Name::from_bytes(b"a\x1b[31m\n\xff\0rest");
        assert_eq!(name.to_string(), "a\\u{1b}[31m\\n\u{fffd}");
        assert_eq!(Name::from_bytes("\u{202e}x".as_bytes()).to_string(), "\\u{202e}x");
        assert_eq!(Name::from_bytes("nginx: w\u{f6}rker".as_bytes()).to_string(), "nginx: w\u{f6}rker");
    }

    #[test]
    fn a_name_of_any_length_keeps_its_bytes() {
        for length in [0, 1, SHORT, SHORT + 1, 4095] {
            let bytes = vec![b'x'; length];
            let name = Name::from_bytes(&[&bytes[..], b"\0rest"].concat());
            assert_eq!((name.as_bytes(), name.is_empty()), (&bytes[..], length == 0));
            assert_eq!(name, Name::from_bytes(&bytes));
            assert!(name < Name::from_bytes(&[&bytes[..], b"y"].concat()));
        }
    }
}
