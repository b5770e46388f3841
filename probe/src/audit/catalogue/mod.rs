//! The entries, a directory for each group and a file for each of its parts.
//!
//! A new behaviour is one [`Behaviour`] in the file that it fits; a new file is a line in its group's `mod.rs`.

#![expect(clippy::needless_update, reason = "entries end alike, whether they say everything or not")]

mod close;
mod listen;
mod open;
mod ports;

use super::Behaviour;

/// Every behaviour, in the order of the report.
pub fn all() -> impl Iterator<Item = &'static Behaviour> {
    [open::PARTS, listen::PARTS, close::PARTS, ports::PARTS].into_iter().flatten().copied().flatten()
}

/// The behaviour of that id.
#[must_use]
pub fn by_id(id: &str) -> Option<&'static Behaviour> {
    all().find(|behaviour| behaviour.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{
        audit::Need,
        model::{
            Protocol,
            State::{SynRecv, SynSent},
            is_legal,
        },
    };

    #[test]
    fn every_entry_is_whole() {
        let mut ids = HashSet::new();
        for behaviour in all() {
            let Behaviour { id, description, reference, .. } = behaviour;
            let slug = |part: &str| {
                !part.is_empty() && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            };
            assert!(id.split('/').all(slug) && id.split('/').count() == 2, "{id}");
            assert!(ids.insert(*id), "{id} is there twice");
            // Finds its group.
            let _ = behaviour.group();
            assert!(
                !description.is_empty() && !description.ends_with('.'),
                "{id}: one clause, without its full stop"
            );
            assert!(!reference.is_empty(), "{id} has no reference");
            assert!(behaviour.variants.iter().all(|variant| !variant.cause.is_empty()), "{id}");
            let mut names = HashSet::new();
            let labels = behaviour.paths.iter().map(|(label, _)| ("path", *label));
            for name in labels.chain(behaviour.facts.iter().map(|(name, _)| ("fact", *name))) {
                assert!(names.insert(name), "{id}: {name:?} is there twice");
            }
            for variant in behaviour.variants {
                let otherwise = variant.instead_of(behaviour) != behaviour.expected();
                assert!(otherwise, "{id}: {}: nothing is otherwise", variant.cause);
            }
        }
    }

    /// What the steps use and the needs do not name fails when it is played; that a SYN crosses shows in the paths alone.
    #[test]
    fn whoever_lets_syns_cross_needs_it() {
        for behaviour in all() {
            let crosses = behaviour
                .paths
                .iter()
                .any(|(_, path)| path.windows(2).any(|step| step == [SynSent, SynRecv]));
            assert_eq!(behaviour.needs.contains(&Need::Crossing), crosses, "{}", behaviour.id);
        }
    }

    /// Whether what an entry expects is possible at all: every step of every path is one that Linux takes.
    #[test]
    fn every_expected_step_is_one_that_linux_takes() {
        for behaviour in all() {
            let variants = behaviour.variants.iter().map(|variant| variant.paths);
            for (label, path) in variants.chain([behaviour.paths]).flatten() {
                for step in path.windows(2) {
                    let taken = is_legal(Protocol::Tcp, (step[0], step[1]));
                    assert!(taken || label.contains("mptcp"), "{}: {label}: {step:?}", behaviour.id);
                }
            }
        }
    }
}
