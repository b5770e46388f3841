//! A behaviour as data: how it is brought about, what must be seen, and where kernels differ.

use super::{Harness, Need};
use crate::{
    model::{BehaviourGroup, BehaviourResult, BehaviourStatus, Observation, State},
    scenario::StepError,
};

/// The path of each socket, by its label.
pub type Paths = &'static [(&'static str, &'static [State])];

/// What calls returned, what was read, counted or carried, by name.
pub type Facts = &'static [(&'static str, &'static str)];

/// One entry of the catalogue.
pub struct Behaviour {
    /// The slug, such as `open/simultaneous`: it never changes. The part before the slash is the group.
    pub id: &'static str,
    /// What happens, in one sentence.
    pub description: &'static str,
    /// What there must be on the host, beside namespaces and sockets.
    pub needs: &'static [Need],
    /// Brings it about, and waits until all of it has been reported.
    pub steps: fn(&mut Harness) -> Result<(), StepError>,
    /// Each socket's path up to the end of the steps. Sockets that are not named here may not appear.
    pub paths: Paths,
    /// Everything that the steps state.
    pub facts: Facts,
    /// Where it is written: an RFC's section, a manual page.
    pub reference: &'static str,
    /// Where kernels are known to differ, and by what.
    pub variants: &'static [Variant],
}

/// What another kernel, or one with other sysctls, does otherwise. What is not named here is as in the entry.
pub struct Variant {
    /// Which, and by what commit or sysctl.
    pub cause: &'static str,
    /// The paths that are others. An empty one is that of a socket that does not appear.
    pub paths: Paths,
    /// The facts that are others.
    pub facts: Facts,
}

impl Behaviour {
    /// What an entry need not say.
    pub const BLANK: Self = Self {
        id: "",
        description: "",
        needs: &[],
        steps: |_| Ok(()),
        paths: &[],
        facts: &[],
        reference: "",
        variants: &[],
    };

    /// The part of the catalogue that it belongs to.
    ///
    /// # Panics
    /// Where the id names none: a test looks at all of them.
    #[must_use]
    pub fn group(&self) -> BehaviourGroup {
        let name = self.id.split('/').next();
        BehaviourGroup::ALL
            .into_iter()
            .find(|group| Some(group.name()) == name)
            .expect("an id begins with its group")
    }

    /// What must be seen.
    #[must_use]
    pub fn expected(&self) -> Observation {
        observation(self.paths, self.facts)
    }

    /// A result that has come to nothing yet: what the entry says of itself, under this status.
    #[must_use]
    pub fn result(&self, status: BehaviourStatus, reason: Option<String>) -> BehaviourResult {
        BehaviourResult {
            id: self.id.to_owned(),
            description: self.description.to_owned(),
            group: self.group(),
            needs: self.needs.iter().map(Need::to_string).collect(),
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
    /// What is seen then, in place of what the entry says.
    #[must_use]
    pub fn instead_of(&self, behaviour: &Behaviour) -> Observation {
        let Observation { mut paths, mut facts } = observation(self.paths, self.facts);
        let entry = behaviour.expected();
        put_over(&mut paths, entry.paths);
        put_over(&mut facts, entry.facts);
        paths.retain(|(_, path)| !path.is_empty());
        Observation { paths, facts }
    }
}

/// Puts what is changed over the whole, which keeps its order; what is new comes last.
fn put_over<T>(changed: &mut Vec<(String, T)>, whole: Vec<(String, T)>) {
    let mut rest = std::mem::take(changed);
    for (name, value) in whole {
        let other = rest.iter().position(|(other, _)| *other == name);
        changed.push(other.map_or((name, value), |place| rest.remove(place)));
    }
    changed.extend(rest);
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
    fn a_variant_says_what_is_otherwise() {
        let behaviour = Behaviour {
            paths: &[
                ("client", &[Close, SynSent]),
                ("listener", &[Close, Listen]),
                ("child", &[Listen, Close]),
            ],
            facts: &[("connect", "success"), ("SYNs", "2")],
            ..Behaviour::BLANK
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
        assert_eq!(variant.instead_of(&behaviour), expected);
        let none = Variant { cause: "", paths: &[], facts: &[] };
        assert_eq!(none.instead_of(&behaviour), behaviour.expected());
    }
}
