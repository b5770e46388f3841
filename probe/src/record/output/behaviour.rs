//! The objects about behaviours: what an audit says of one, and in what two profiles differ.

use schemars::JsonSchema;
use serde::Serialize;

use super::value::Version;
use crate::{
    model::{
        BehaviourGroup, BehaviourResult, BehaviourStatus, Difference, FactKind, Observation, ProfileEntry,
        State,
    },
    record::named::ByName,
};

/// A behaviour of TCP, brought about and held against what its reference says.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct BehaviourObject<'a> {
    v: Version,
    /// Its slug, which never changes.
    id: &'a str,
    /// What happens, in one sentence. Made for people: its wording may change.
    description: &'a str,
    /// The part of the catalogue.
    group: ByName<BehaviourGroup>,
    /// What it asks of the host: `wire`, a sysctl of its own namespace such as `net.ipv4.tcp_fastopen`, a capability, an
    /// option or a version of the kernel.
    needs: &'a [String],
    /// How it came out: as the reference or a known variant says; otherwise; this host cannot show it; the audit itself
    /// failed, and nothing is said of the kernel.
    status: ByName<BehaviourStatus>,
    /// What the reference says, or the variant that came. Made for people: `paths` and `facts` have it in parts.
    expected: String,
    /// What was observed. Made for people: `paths` and `facts` have it in parts.
    observed: String,
    /// The known variant that came in place of what the reference says: its cause, a commit or a sysctl. Null where
    /// none did.
    variant: Option<&'a str>,
    /// Why it is unsupported or failed; null where it is neither.
    reason: Option<&'a str>,
    /// Where it is written: an RFC's section, a manual page, a commit.
    reference: &'a str,
    /// The states that each socket went through.
    paths: Vec<PathObject<'a>>,
    /// What calls returned, and what was read, counted, or carried by the wire.
    facts: Vec<FactObject<'a>>,
}

/// The states that a socket of a behaviour went through, the first one left included.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "path", deny_unknown_fields)]
struct PathObject<'a> {
    /// What the behaviour calls the socket.
    label: &'a str,
    /// The states that it must go through; null where no such socket may appear.
    expected: Option<Vec<ByName<State>>>,
    /// Those that it went through; null where it did not move.
    observed: Option<Vec<ByName<State>>>,
}

/// What a behaviour states, beside states.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "fact", deny_unknown_fields)]
struct FactObject<'a> {
    /// What it is about.
    name: &'a str,
    /// What it must be; null where it is not expected at all.
    expected: Option<&'a str>,
    /// What it was; null where it was not stated.
    observed: Option<&'a str>,
}

impl<'a> From<&'a BehaviourResult> for BehaviourObject<'a> {
    fn from(result: &'a BehaviourResult) -> Self {
        Self {
            v: Version,
            id: &result.id,
            description: &result.description,
            group: ByName(result.group),
            needs: &result.needs,
            status: ByName(result.status),
            expected: result.expected.to_string(),
            observed: result.observed.to_string(),
            variant: result.variant.as_deref(),
            reason: result.reason.as_deref(),
            reference: &result.reference,
            paths: paths(&result.expected, &result.observed),
            facts: facts(&result.expected, &result.observed),
        }
    }
}

fn paths<'a>(expected: &'a Observation, observed: &'a Observation) -> Vec<PathObject<'a>> {
    let words = |path: Option<&Vec<State>>| path.map(|path| path.iter().copied().map(ByName).collect());
    beside(&expected.paths, &observed.paths)
        .map(|(label, expected, observed)| PathObject {
            label,
            expected: words(expected),
            observed: words(observed),
        })
        .collect()
}

fn facts<'a>(expected: &'a Observation, observed: &'a Observation) -> Vec<FactObject<'a>> {
    beside(&expected.facts, &observed.facts)
        .map(|(name, expected, observed)| FactObject {
            name,
            expected: expected.map(String::as_str),
            observed: observed.map(String::as_str),
        })
        .collect()
}

/// What was expected and what was observed under each name.
fn beside<'a, T>(
    expected: &'a [(String, T)],
    observed: &'a [(String, T)],
) -> impl Iterator<Item = (&'a str, Option<&'a T>, Option<&'a T>)> {
    let of = |name: &str, all: &'a [(String, T)]| {
        all.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    };
    let unexpected = observed.iter().filter(move |(name, _)| of(name, expected).is_none());
    expected
        .iter()
        .chain(unexpected)
        .map(move |(name, _)| (name.as_str(), of(name, expected), of(name, observed)))
}

/// Something in which two profiles differ.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct DifferenceObject<'a> {
    v: Version,
    /// What differs: a fact about the kernels (`kernel`, `arch`, `backend`, `config`, `sysctl`), or a `behaviour`.
    #[schemars(schema_with = "subject")]
    subject: &'static str,
    /// Its name; a behaviour's id.
    name: &'a str,
    /// The first profile's value; of a behaviour, what was observed. Null where the profile has none, or the
    /// audit did not get to its end.
    a: Option<String>,
    /// The second one's.
    b: Option<String>,
    /// How the behaviour came out in the first profile; null where it has none, or where this is no behaviour.
    status_a: Option<ByName<BehaviourStatus>>,
    /// The same of the second one.
    status_b: Option<ByName<BehaviourStatus>>,
    /// What explains it: known variants, and facts of the kernels on which it depends. Made for people: their wording
    /// may change.
    why: &'a [String],
}

fn subject(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    use FactKind::{Arch, Backend, Config, Kernel, Sysctl};
    let mut names = [Kernel, Arch, Backend, Config, Sysctl].map(FactKind::name).to_vec();
    names.push(BEHAVIOUR);
    schemars::json_schema!({ "type": "string", "enum": names })
}

const BEHAVIOUR: &str = "behaviour";

impl<'a> From<&'a Difference> for DifferenceObject<'a> {
    fn from(difference: &'a Difference) -> Self {
        match difference {
            Difference::Fact { kind, name, a, b } => Self {
                v: Version,
                subject: kind.name(),
                name,
                a: a.clone(),
                b: b.clone(),
                status_a: None,
                status_b: None,
                why: &[],
            },
            Difference::Behaviour { id, a, b, why } => {
                let text = |kept: &Option<Box<ProfileEntry>>| {
                    let whole = kept.as_ref().filter(|kept| kept.is_complete());
                    whole.map(|kept| kept.observed.to_string())
                };
                let status = |kept: &Option<Box<ProfileEntry>>| kept.as_ref().map(|kept| ByName(kept.status));
                Self {
                    v: Version,
                    subject: BEHAVIOUR,
                    name: id,
                    a: text(a),
                    b: text(b),
                    status_a: status(a),
                    status_b: status(b),
                    why,
                }
            }
        }
    }
}
