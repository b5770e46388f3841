//! What is kept of an audit, to be held against another kernel's.

use super::{Backend, BehaviourResult, BehaviourStatus, Observation};

/// What is known of a kernel, beside its behaviour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelFacts {
    /// `uname -r`
    pub kernel: String,
    /// `uname -m`
    pub arch: String,
    /// What the behaviours were observed by.
    pub backend: Backend,
    /// The options that it was built with, of those that matter here; `None` for one that is not set. `None` as a
    /// whole where this kernel does not show them.
    pub config: Option<Vec<(String, Option<String>)>>,
    /// The sysctls that matter here, as a new network namespace has them; `None` for one that this kernel has not.
    pub sysctls: Vec<(String, Option<String>)>,
}

/// What one kernel does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Which kernel.
    pub facts: KernelFacts,
    /// What it does, ordered by id.
    pub behaviours: Vec<ProfileEntry>,
}

/// What is kept of one behaviour: nothing that the next audit of the same kernel would have otherwise.
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
    /// What was observed, the paths ordered by label; nothing where the audit did not get to its end.
    pub observed: Observation,
}

impl Profile {
    /// What is kept of these results.
    #[must_use]
    pub fn new(facts: KernelFacts, results: &[BehaviourResult]) -> Self {
        let mut behaviours: Vec<ProfileEntry> = results.iter().map(ProfileEntry::from).collect();
        behaviours.sort_by(|one, other| one.id.cmp(&other.id));
        Self { facts, behaviours }
    }
}

impl ProfileEntry {
    /// Whether the audit got to its end.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.status, BehaviourStatus::AsExpected | BehaviourStatus::Differs)
    }
}

impl From<&BehaviourResult> for ProfileEntry {
    fn from(result: &BehaviourResult) -> Self {
        let mut kept = Self {
            id: result.id.clone(),
            description: result.description.clone(),
            status: result.status,
            variant: result.variant.clone(),
            reason: result.reason.clone(),
            reference: result.reference.clone(),
            observed: Observation::default(),
        };
        // How far an audit came that did not get to its end says nothing of the kernel.
        if kept.is_whole() {
            kept.observed = result.observed.clone();
            kept.observed.paths.sort();
        }
        kept
    }
}

/// What a fact is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactKind {
    /// Its release.
    Kernel,
    /// The machine that it is for.
    Arch,
    /// What the behaviours were observed by.
    Backend,
    /// An option that it was built with.
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

/// Something in which two profiles differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A fact about the kernels.
    Fact {
        /// What it is about.
        kind: FactKind,
        /// Its name.
        name: String,
        /// The first profile's; `None` where that kernel has no such thing, or does not show it.
        a: Option<String>,
        /// The second one's.
        b: Option<String>,
    },
    /// A behaviour.
    Behaviour {
        /// Its slug.
        id: String,
        /// What the first profile has of it; `None` where it has nothing.
        a: Option<Box<ProfileEntry>>,
        /// What the second one has.
        b: Option<Box<ProfileEntry>>,
        /// What explains it, as far as is known.
        why: Vec<String>,
    },
}
