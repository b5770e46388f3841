//! How two kernels differ, and why, as far as the catalogue knows.

use crate::model::{Difference, FactKind, KernelFacts, Profile, ProfileEntry};

/// Compares two profiles: first the facts about the kernels, then the behaviours.
#[must_use]
pub fn compare(a: &Profile, b: &Profile) -> Vec<Difference> {
    let mut differences = facts(&a.facts, &b.facts);
    let behaviours = behaviours(a, b, &differences);
    differences.extend(behaviours);
    differences
}

fn facts(a: &KernelFacts, b: &KernelFacts) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut compare = |kind, name: &str, a: Option<&str>, b: Option<&str>| {
        if a != b {
            let [a, b] = [a, b].map(|value| value.map(str::to_owned));
            differences.push(Difference::Fact { kind, name: name.to_owned(), a, b });
        }
    };
    compare(FactKind::Kernel, "release", Some(&a.kernel), Some(&b.kernel));
    compare(FactKind::Arch, "machine", Some(&a.arch), Some(&b.arch));
    compare(FactKind::Backend, "observed by", Some(a.backend.name()), Some(b.backend.name()));
    // Where one kernel does not show its options, how they differ is unknown.
    if let (Some(a), Some(b)) = (&a.config, &b.config) {
        for_each_name(a, b, |name, a, b| compare(FactKind::Config, name, a, b));
    }
    for_each_name(&a.sysctls, &b.sysctls, |name, a, b| compare(FactKind::Sysctl, name, a, b));
    differences
}

type Values = [(String, Option<String>)];

/// Visits every name that either of the two has.
fn for_each_name(a: &Values, b: &Values, mut visit: impl FnMut(&str, Option<&str>, Option<&str>)) {
    let of = |name: &str, all: &Values| {
        all.iter().find(|(other, _)| other == name).and_then(|(_, value)| value.clone())
    };
    let more = b.iter().filter(|(name, _)| a.iter().all(|(other, _)| other != name));
    for (name, _) in a.iter().chain(more) {
        visit(name, of(name, a).as_deref(), of(name, b).as_deref());
    }
}

fn behaviours(a: &Profile, b: &Profile, facts: &[Difference]) -> Vec<Difference> {
    let of = |id: &str, profile: &Profile| profile.behaviours.iter().find(|entry| entry.id == id).cloned();
    let mut ids: Vec<&str> =
        [a, b].iter().flat_map(|profile| &profile.behaviours).map(|entry| entry.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter()
        .map(|id| (id, of(id, a), of(id, b)))
        .filter(|(_, a, b)| !same(a.as_ref(), b.as_ref()))
        .map(|(id, a, b)| {
            let why = why(a.as_ref(), b.as_ref(), facts);
            Difference::Behaviour { id: id.to_owned(), a: a.map(Box::new), b: b.map(Box::new), why }
        })
        .collect()
}

fn same(a: Option<&ProfileEntry>, b: Option<&ProfileEntry>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.status == b.status && a.observed == b.observed,
        _ => false,
    }
}

/// What explains a difference: the variants that were observed, and the facts that differ and that the reference or a
/// variant of the behaviour names.
fn why(a: Option<&ProfileEntry>, b: Option<&ProfileEntry>, facts: &[Difference]) -> Vec<String> {
    let (Some(a), Some(b)) = (a, b) else { return Vec::new() };
    let mut why = Vec::new();
    if a.variant != b.variant {
        let variant = |side, entry: &ProfileEntry| {
            entry.variant.as_ref().map(|cause| format!("{side} is a known variant: {cause}"))
        };
        why.extend([variant("A", a), variant("B", b)].into_iter().flatten());
    }
    let texts: Vec<&str> = [a, b]
        .into_iter()
        .flat_map(|entry| entry.variant.iter().chain([&entry.reference]))
        .map(String::as_str)
        .collect();
    for fact in facts {
        let Difference::Fact { kind: FactKind::Config | FactKind::Sysctl, name, a, b } = fact else {
            continue;
        };
        if texts.iter().any(|text| names(text, name)) {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".to_owned());
            why.push(format!("{name} is {} in A, {} in B", value(a), value(b)));
        }
    }
    why
}

/// Whether a text names an option, or a sysctl by its last part.
fn names(text: &str, fact: &str) -> bool {
    let short = fact.rsplit('.').next().unwrap_or(fact);
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|word| word == short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing;

    #[test]
    fn a_profile_does_not_differ_from_itself() {
        for profile in testing::profiles() {
            assert_eq!(compare(&profile, &profile), []);
        }
    }

    fn names_of(differences: &[Difference]) -> Vec<String> {
        differences
            .iter()
            .map(|difference| match difference {
                Difference::Fact { kind, name, .. } => format!("{} {name}", kind.name()),
                Difference::Behaviour { id, a, b, .. } => {
                    let in_both = if a.is_some() && b.is_some() { "" } else { " in one" };
                    format!("{id}{in_both}")
                }
            })
            .collect()
    }

    #[test]
    fn facts_come_first_and_each_difference_once() {
        let [a, b] = testing::profiles();
        let expected = [
            "kernel release",
            "sysctl net.ipv4.tcp_rfc1337",
            "sysctl net.ipv4.tcp_syn_linear_timeouts",
            "close/shutdown-in-syn-recv",
            "open/refused in one",
            "open/refused-v6 in one",
            "open/syn-timeout",
            "ports/reuse",
        ];
        assert_eq!(names_of(&compare(&a, &b)), expected);
        assert_eq!(names_of(&compare(&b, &a)), expected);
    }

    fn why_of(id: &str) -> Vec<String> {
        let [a, b] = testing::profiles();
        let all = compare(&a, &b);
        let found = all.into_iter().find_map(|difference| match difference {
            Difference::Behaviour { id: other, why, .. } if other == id => Some(why),
            _ => None,
        });
        found.expect("it differs")
    }

    #[test]
    fn variants_and_facts_that_the_reference_names_explain_a_difference() {
        assert_eq!(
            why_of("close/shutdown-in-syn-recv"),
            ["A is a known variant: before 6.9 the FIN is sent at once (94062790aedb)"]
        );
        assert_eq!(why_of("ports/reuse"), ["net.ipv4.tcp_rfc1337 is 0 in A, 1 in B"]);
        assert_eq!(why_of("open/syn-timeout"), [""; 0]);
    }

    #[test]
    fn a_name_is_a_whole_word() {
        assert!(names("RFC 6191; net.ipv4.tcp_tw_reuse, 4.12", "net.ipv4.tcp_tw_reuse"));
        assert!(names("`tcp_tw_reuse`", "net.ipv4.tcp_tw_reuse"));
        assert!(!names("tcp_tw_reuse_delay", "net.ipv4.tcp_tw_reuse"));
        assert!(names("socket(7), CONFIG_INET_DIAG_DESTROY", "CONFIG_INET_DIAG_DESTROY"));
    }
}
