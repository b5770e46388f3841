//! The object of a behaviour: what an audit expected and observed.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    time::{StreamTime, Time},
    value::Version,
};
use crate::{
    model::{BehaviourGroup, BehaviourResult, BehaviourStatus, Observation, State},
    record::named::ByName,
};

/// A behaviour of the kernel's TCP that an audit triggered, compared with its reference.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct BehaviourObject<'a> {
    v: Version,
    /// The last transition of the behaviour's sockets; the latest event before this line if there was none. RFC 3339, UTC,
    /// nanoseconds.
    time: Option<Time>,
    /// The behaviour's identifier, which never changes.
    id: &'a str,
    /// What happens, in one sentence. For people: the wording may change.
    description: &'a str,
    /// The group of the catalogue.
    group: ByName<BehaviourGroup>,
    /// The result. `as-expected`: the kernel did what the reference or a known variant states; `differs`: it did something
    /// else; `unsupported`: this host cannot show it; `failed`: the audit itself failed, which says nothing about the kernel.
    status: ByName<BehaviourStatus>,
    /// What the reference states, or the variant that was observed. For people: `paths` and `facts` have the same in parts.
    expected: String,
    /// What was observed. For people: `paths` and `facts` have the same in parts.
    observed: String,
    /// The source of the expectation: an RFC section, a manual page or a kernel commit.
    reference: &'a str,
    /// What the behaviour requires of the host: `wire`, a sysctl of its own namespace such as `net.ipv4.tcp_fastopen`, a
    /// capability, a kernel option or a kernel version.
    needs: &'a [String],
    /// The known variant that was observed instead of what the reference states: its cause, which is a commit or a sysctl.
    /// Null if none was.
    variant: Option<&'a str>,
    /// Why the behaviour is unsupported or failed; null with any other status.
    reason: Option<&'a str>,
    /// The states of each socket.
    paths: Vec<PathObject<'a>>,
    /// Return values of calls, and values that were read, counted or seen on the wire.
    facts: Vec<FactObject<'a>>,
}

/// The states of one socket in order, from the one that it left first.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "path", deny_unknown_fields)]
struct PathObject<'a> {
    /// The socket's label in the behaviour.
    label: &'a str,
    /// The expected states; null if no such socket is expected.
    expected: Option<Vec<ByName<State>>>,
    /// The observed states; null if no transition was observed.
    observed: Option<Vec<ByName<State>>>,
}

/// A value that a behaviour states in addition to socket states.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "fact", deny_unknown_fields)]
struct FactObject<'a> {
    /// What the value describes.
    name: &'a str,
    /// The expected value; null if none is expected.
    expected: Option<&'a str>,
    /// The observed value; null if none was.
    observed: Option<&'a str>,
}

impl<'a> BehaviourObject<'a> {
    pub fn of(result: &'a BehaviourResult, time: StreamTime) -> Self {
        let last = result.transitions.iter().map(|(_, transition)| transition.at).max();
        Self {
            v: Version,
            time: last.map_or_else(|| time.latest(), |at| time.of(at)),
            id: &result.id,
            description: &result.description,
            group: ByName(result.group),
            status: ByName(result.status),
            expected: result.expected.to_string(),
            observed: result.observed.to_string(),
            reference: &result.reference,
            needs: &result.needs,
            variant: result.variant.as_deref(),
            reason: result.reason.as_deref(),
            paths: paths(&result.expected, &result.observed),
            facts: facts(&result.expected, &result.observed),
        }
    }
}

fn paths<'a>(expected: &'a Observation, observed: &'a Observation) -> Vec<PathObject<'a>> {
    let names = |path: Option<&Vec<State>>| path.map(|path| path.iter().copied().map(ByName).collect());
    pairs(&expected.paths, &observed.paths)
        .map(|(label, expected, observed)| PathObject {
            label,
            expected: names(expected),
            observed: names(observed),
        })
        .collect()
}

fn facts<'a>(expected: &'a Observation, observed: &'a Observation) -> Vec<FactObject<'a>> {
    pairs(&expected.facts, &observed.facts)
        .map(|(name, expected, observed)| FactObject {
            name,
            expected: expected.map(String::as_str),
            observed: observed.map(String::as_str),
        })
        .collect()
}

/// The expected and the observed value of each name.
fn pairs<'a, T>(
    expected: &'a [(String, T)],
    observed: &'a [(String, T)],
) -> impl Iterator<Item = (&'a str, Option<&'a T>, Option<&'a T>)> {
    let find = |name: &str, values: &'a [(String, T)]| {
        values.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    };
    let unexpected = observed.iter().filter(move |(name, _)| find(name, expected).is_none());
    expected
        .iter()
        .chain(unexpected)
        .map(move |(name, _)| (name.as_str(), find(name, expected), find(name, observed)))
}
