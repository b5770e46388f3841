//! The entries: a directory for each group, a file for each of its parts, and the paths and steps that
//! entries share.
//!
//! A new behaviour is one [`Behaviour`] in the file of its part. A new file is a line in its group's `mod.rs`.

#![expect(clippy::needless_update, reason = "every entry ends with the defaults, even if it sets all fields")]

mod close;
mod listen;
mod open;
mod paths;
mod ports;
mod steps;

use super::behaviour::Behaviour;

/// Every behaviour, in the order of the report.
pub fn all() -> impl Iterator<Item = &'static Behaviour> {
    [open::PARTS, listen::PARTS, close::PARTS, ports::PARTS].into_iter().flatten().copied().flatten()
}

/// The behaviour with this id.
#[must_use]
pub fn by_id(id: &str) -> Option<&'static Behaviour> {
    all().find(|behaviour| behaviour.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{
        audit::Requirement,
        model::{
            Protocol,
            State::{SynRecv, SynSent},
            is_legal,
        },
    };

    #[test]
    fn every_entry_is_complete() {
        let mut ids = HashSet::new();
        for behaviour in all() {
            let Behaviour { id, description, reference, .. } = behaviour;
            let slug = |part: &str| {
                !part.is_empty() && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            };
            assert!(id.split('/').all(slug) && id.split('/').count() == 2, "{id}");
            assert!(ids.insert(*id), "{id} is listed twice");
            // Panics if the id has no group.
            let _ = behaviour.group();
            assert!(
                !description.is_empty() && !description.ends_with('.'),
                "{id}: the description is one clause without a full stop"
            );
            assert!(!reference.is_empty(), "{id} has no reference");
            assert!(behaviour.variants.iter().all(|variant| !variant.cause.is_empty()), "{id}");
            let mut names = HashSet::new();
            let labels = behaviour.paths.iter().map(|(label, _)| ("path", *label));
            for name in labels.chain(behaviour.facts.iter().map(|(name, _)| ("fact", *name))) {
                assert!(names.insert(name), "{id}: {name:?} is listed twice");
            }
            for variant in behaviour.variants {
                let differs = variant.expected(behaviour) != behaviour.expected();
                assert!(differs, "{id}: {}: the variant equals the entry", variant.cause);
            }
        }
    }

    /// The harness rejects steps that use an undeclared requirement, except for a simultaneous open, which
    /// only the paths show.
    #[test]
    fn a_path_from_syn_sent_to_syn_recv_requires_simultaneous_open() {
        for behaviour in all() {
            let is_simultaneous = behaviour
                .paths
                .iter()
                .any(|(_, path)| path.windows(2).any(|edge| edge == [SynSent, SynRecv]));
            assert_eq!(
                behaviour.needs.contains(&Requirement::SimultaneousOpen),
                is_simultaneous,
                "{}",
                behaviour.id
            );
        }
    }

    /// Every transition of every expected path is one that Linux can make.
    #[test]
    fn every_expected_transition_is_legal() {
        for behaviour in all() {
            let variants = behaviour.variants.iter().map(|variant| variant.paths);
            for (label, path) in variants.chain([behaviour.paths]).flatten() {
                for edge in path.windows(2) {
                    let legal = is_legal(Protocol::Tcp, (edge[0], edge[1]));
                    assert!(legal || label.contains("mptcp"), "{}: {label}: {edge:?}", behaviour.id);
                }
            }
        }
    }
}
