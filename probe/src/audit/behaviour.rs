//! A behaviour as data: how it is brought about, what must be seen, and where kernels differ.

use super::{Bench, Need};
use crate::{
    model::{BehaviourGroup, BehaviourResult, BehaviourStatus, Sight, State},
    scenario::Trouble,
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
    pub says: &'static str,
    /// What there must be on the host, beside namespaces and sockets.
    pub needs: &'static [Need],
    /// Brings it about, and waits until all of it has been reported.
    pub steps: fn(&mut Bench) -> Result<(), Trouble>,
    /// Each socket's path up to the end of the steps. Sockets that are not named here may not appear.
    pub paths: Paths,
    /// Everything that the steps state.
    pub facts: Facts,
    /// Where it is written: an RFC's section, a manual page.
    pub reference: &'static str,
    /// Where kernels are known to differ, and by what.
    pub variants: &'static [Variant],
    /// How often it is tried until it is as expected: more than once only where the machine's load can come in between.
    pub tries: u32,
}

/// What another kernel, or one with other sysctls, does.
pub struct Variant {
    /// Which, and by what commit or sysctl.
    pub cause: &'static str,
    /// As in [`Behaviour`].
    pub paths: Paths,
    /// As in [`Behaviour`].
    pub facts: Facts,
}

impl Behaviour {
    /// What an entry need not say.
    pub const BLANK: Self = Self {
        id: "",
        says: "",
        needs: &[],
        steps: |_| Ok(()),
        paths: &[],
        facts: &[],
        reference: "",
        variants: &[],
        tries: 1,
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
    pub fn expected(&self) -> Sight {
        sight(self.paths, self.facts)
    }

    /// A result that has come to nothing yet: what the entry says of itself, under this status.
    #[must_use]
    pub fn result(&self, status: BehaviourStatus, reason: Option<String>) -> BehaviourResult {
        BehaviourResult {
            id: self.id.to_owned(),
            says: self.says.to_owned(),
            group: self.group(),
            needs: self.needs.iter().map(Need::to_string).collect(),
            status,
            expected: self.expected(),
            observed: Sight::default(),
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
    /// What is seen then.
    #[must_use]
    pub fn expected(&self) -> Sight {
        sight(self.paths, self.facts)
    }
}

fn sight(paths: Paths, facts: Facts) -> Sight {
    Sight {
        paths: paths.iter().map(|(label, path)| ((*label).to_owned(), path.to_vec())).collect(),
        facts: facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}
