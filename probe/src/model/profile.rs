//! A profile: the results of an audit, to compare with those of another kernel.

use super::{Backend, BehaviourResult, BehaviourStatus, Observation};

/// Facts about a kernel besides its behaviours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelFacts {
    /// `uname -r`
    pub kernel: String,
    /// `uname -m`
    pub arch: String,
    /// The tracepoint that the behaviours were observed with.
    pub backend: Backend,
    /// The relevant build options; `None` for one that is not set. `None` as a whole where the kernel does not expose them.
    pub config: Option<Vec<(String, Option<String>)>>,
    /// The relevant sysctls, with their values in a new network namespace; `None` for one that this kernel lacks.
    pub sysctls: Vec<(String, Option<String>)>,
}

/// The behaviours of one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The kernel.
    pub facts: KernelFacts,
    /// Its behaviours, ordered by id.
    pub behaviours: Vec<ProfileEntry>,
}

/// One behaviour in a profile: only what every audit of the same kernel reproduces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileEntry {
    /// As in [`BehaviourResult`].
    pub id: String,
    /// As in [`BehaviourResult`].
    pub description: String,
    /// As in [`BehaviourResult`].
    pub status: BehaviourStatus,
    /// As in [`BehaviourResult`].
    pub variant: Option<String>,
    /// As in [`BehaviourResult`].
    pub reason: Option<String>,
    /// As in [`BehaviourResult`].
    pub reference: String,
    /// What was observed, with the paths ordered by label; empty where the audit did not complete.
    pub observed: Observation,
}

impl Profile {
    /// The profile of these results.
    #[must_use]
    pub fn new(facts: KernelFacts, results: &[BehaviourResult]) -> Self {
        let mut behaviours: Vec<ProfileEntry> = results.iter().map(ProfileEntry::from).collect();
        behaviours.sort_by(|one, other| one.id.cmp(&other.id));
        Self { facts, behaviours }
    }
}

impl ProfileEntry {
    /// Whether the audit completed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self.status, BehaviourStatus::AsExpected | BehaviourStatus::Differs)
    }
}

impl From<&BehaviourResult> for ProfileEntry {
    fn from(result: &BehaviourResult) -> Self {
        let mut entry = Self {
            id: result.id.clone(),
            description: result.description.clone(),
            status: result.status,
            variant: result.variant.clone(),
            reason: result.reason.clone(),
            reference: result.reference.clone(),
            observed: Observation::default(),
        };
        // How far an incomplete audit got says nothing about the kernel.
        if entry.is_complete() {
            entry.observed = result.observed.clone();
            entry.observed.paths.sort();
        }
        entry
    }
}

/// The kind of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactKind {
    /// The kernel's release.
    Kernel,
    /// The architecture.
    Arch,
    /// The tracepoint that the behaviours were observed with.
    Backend,
    /// A build option.
    Config,
    /// A sysctl.
    Sysctl,
}

impl FactKind {
    /// The name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Arch => "arch",
            Self::Backend => "backend",
            Self::Config => "config",
            Self::Sysctl => "sysctl",
        }
    }
}

/// A difference between two profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A fact about the kernels.
    Fact {
        /// Its kind.
        kind: FactKind,
        /// Its name.
        name: String,
        /// The first profile's value; `None` where that kernel lacks or does not expose it.
        a: Option<String>,
        /// The second profile's value.
        b: Option<String>,
    },
    /// A behaviour.
    Behaviour {
        /// Its id.
        id: String,
        /// The first profile's entry; `None` where it has none.
        a: Option<Box<ProfileEntry>>,
        /// The second profile's entry.
        b: Option<Box<ProfileEntry>>,
        /// Known explanations.
        why: Vec<String>,
    },
}

impl Difference {
    /// Whether it makes two kernels differ. Their release, by itself, is only a name.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        !matches!(self, Self::Fact { kind: FactKind::Kernel, .. })
    }
}
