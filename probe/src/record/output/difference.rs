//! The object of a difference between two profiles.

use schemars::JsonSchema;
use serde::Serialize;

use super::{time::Time, value::Version};
use crate::{
    model::{BehaviourStatus, Difference, FactKind, ProfileEntry},
    record::named::ByName,
};

/// One difference between two profiles.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct DifferenceObject<'a> {
    v: Version,
    /// When the profiles were compared: RFC 3339, UTC, nanoseconds.
    time: Option<Time>,
    /// What differs: a fact about the kernels (`kernel`, `arch`, `backend`, `config`, `sysctl`) or a `behaviour`.
    #[schemars(schema_with = "subject")]
    subject: &'static str,
    /// The name of the fact, or the id of the behaviour.
    name: &'a str,
    /// The value in the first profile, or what was observed of the behaviour. Null if the profile has none or the audit
    /// did not complete the behaviour.
    a: Option<String>,
    /// The same for the second profile.
    b: Option<String>,
    /// The status of the behaviour in the first profile; null if the profile does not have it or this is a fact.
    status_a: Option<ByName<BehaviourStatus>>,
    /// The same for the second profile.
    status_b: Option<ByName<BehaviourStatus>>,
    /// What explains the difference: known variants, and facts about the kernels that it depends on. For people: the
    /// wording may change.
    why: &'a [String],
}

fn subject(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    use FactKind::{Arch, Backend, Config, Kernel, Sysctl};
    let mut names = [Kernel, Arch, Backend, Config, Sysctl].map(FactKind::name).to_vec();
    names.push(BEHAVIOUR);
    schemars::json_schema!({ "type": "string", "enum": names })
}

const BEHAVIOUR: &str = "behaviour";

impl<'a> DifferenceObject<'a> {
    pub fn of(difference: &'a Difference, time: Option<Time>) -> Self {
        match difference {
            Difference::Fact { kind, name, a, b } => Self {
                v: Version,
                time,
                subject: kind.name(),
                name,
                a: a.clone(),
                b: b.clone(),
                status_a: None,
                status_b: None,
                why: &[],
            },
            Difference::Behaviour { id, a, b, why } => {
                let observed = |entry: &Option<Box<ProfileEntry>>| {
                    let complete = entry.as_ref().filter(|entry| entry.is_complete());
                    complete.map(|entry| entry.observed.to_string())
                };
                let status =
                    |entry: &Option<Box<ProfileEntry>>| entry.as_ref().map(|entry| ByName(entry.status));
                Self {
                    v: Version,
                    time,
                    subject: BEHAVIOUR,
                    name: id,
                    a: observed(a),
                    b: observed(b),
                    status_a: status(a),
                    status_b: status(b),
                    why,
                }
            }
        }
    }
}
