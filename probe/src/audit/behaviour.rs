//! A behaviour as data: how to trigger it, what to expect, and where kernels are known to differ.

use super::{harness::Harness, requirement::Requirement};
use crate::{
    model::{BehaviourGroup, BehaviourResult, BehaviourStatus, Observation, State},
    scenario::StepError,
};

/// The path of each socket, by label.
pub type Paths = &'static [(&'static str, &'static [State])];

/// Observed values by name: what a call returned, what a socket read, how a counter changed, which segments
/// were sent.
pub type Facts = &'static [(&'static str, &'static str)];

/// One entry of the catalogue.
pub struct Behaviour {
    /// The slug, such as `open/simultaneous`, which never changes. The part before the slash is the group.
    pub id: &'static str,
    /// What happens, in one clause.
    pub description: &'static str,
    /// What the host must provide, besides network namespaces and sockets.
    pub needs: &'static [Requirement],
    /// Triggers the behaviour, and waits until the kernel has reported all of it.
    pub steps: fn(&mut Harness) -> Result<(), StepError>,
    /// The expected path of each socket up to the end of the steps. No other socket may appear.
    pub paths: Paths,
    /// The expected value of every fact that the steps observe.
    pub facts: Facts,
    /// The source: a section of an RFC, a manual page, a kernel function or commit.
    pub reference: &'static str,
    /// Known differences of other kernels or configurations.
    pub variants: &'static [Variant],
}

/// How another kernel, or one with other sysctls, differs from the entry. Everything else is as in the entry.
pub struct Variant {
    /// Which kernels, and the commit or sysctl that causes the difference.
    pub cause: &'static str,
    /// The paths that differ. An empty path means that the socket does not appear.
    pub paths: Paths,
    /// The facts that differ.
    pub facts: Facts,
}

impl Behaviour {
    /// The fields that an entry may omit.
    pub const DEFAULT: Self = Self {
        id: "",
        description: "",
        needs: &[],
        steps: |_| Ok(()),
        paths: &[],
        facts: &[],
        reference: "",
        variants: &[],
    };

    /// The group that the id starts with.
    ///
    /// # Panics
    /// If there is no such group; a test checks every entry.
    #[must_use]
    pub fn group(&self) -> BehaviourGroup {
        let name = self.id.split('/').next();
        BehaviourGroup::ALL
            .into_iter()
            .find(|group| Some(group.name()) == name)
            .expect("an id starts with its group")
    }

    /// The expected paths and facts.
    #[must_use]
    pub fn expected(&self) -> Observation {
        observation(self.paths, self.facts)
    }

    /// A result with this status and what the entry says, without observations.
    #[must_use]
    pub fn result(&self, status: BehaviourStatus, reason: Option<String>) -> BehaviourResult {
        BehaviourResult {
            id: self.id.to_owned(),
            description: self.description.to_owned(),
            group: self.group(),
            needs: self.needs.iter().map(Requirement::to_string).collect(),
            status,
            expected: self.expected(),
            observed: Observation::default(),
            variant: None,
            reason,
            reference: self.reference.to_owned(),
            transitions: Vec::new(),
            packets: Vec::new(),
            labels: Vec::new(),
        }
    }
}

impl Variant {
    /// The expected paths and facts of this variant of `behaviour`.
    #[must_use]
    pub fn expected(&self, behaviour: &Behaviour) -> Observation {
        let Observation { mut paths, mut facts } = observation(self.paths, self.facts);
        let entry = behaviour.expected();
        complete_with(&mut paths, entry.paths);
        complete_with(&mut facts, entry.facts);
        paths.retain(|(_, path)| !path.is_empty());
        Observation { paths, facts }
    }
}

/// Completes the changed values with those of the entry, in the order of the entry. Values that the entry
/// lacks come last.
fn complete_with<T>(changed: &mut Vec<(String, T)>, entry: Vec<(String, T)>) {
    let mut unused = std::mem::take(changed);
    for (name, value) in entry {
        let index = unused.iter().position(|(other, _)| *other == name);
        changed.push(index.map_or((name, value), |index| unused.remove(index)));
    }
    changed.extend(unused);
}

fn observation(paths: Paths, facts: Facts) -> Observation {
    Observation {
        paths: paths.iter().map(|(label, path)| ((*label).to_owned(), path.to_vec())).collect(),
        facts: facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use State::{Close, Listen, SynSent};

    use super::*;
    use crate::model::testing::observation;

    #[test]
    fn a_variant_names_only_what_differs() {
        let behaviour = Behaviour {
            paths: &[
                ("client", &[Close, SynSent]),
                ("listener", &[Close, Listen]),
                ("child", &[Listen, Close]),
            ],
            facts: &[("connect", "success"), ("SYNs", "2")],
            ..Behaviour::DEFAULT
        };
        let variant = Variant {
            cause: "",
            paths: &[("child", &[]), ("client", &[Close, SynSent, Close])],
            facts: &[("SYNs", "3"), ("RSTs", "1")],
        };
        let expected = observation(
            &[("client", &[Close, SynSent, Close]), ("listener", &[Close, Listen])],
            &[("connect", "success"), ("SYNs", "3"), ("RSTs", "1")],
        );
        assert_eq!(variant.expected(&behaviour), expected);
        let none = Variant { cause: "", paths: &[], facts: &[] };
        assert_eq!(none.expected(&behaviour), behaviour.expected());
    }
}
