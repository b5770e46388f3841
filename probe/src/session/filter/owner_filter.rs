//! The part of the filter that concerns owners.

use foldhash::HashSet;

use super::{
    filter_sets::FilterSets,
    socket_facts::{Match, SocketFacts},
};

/// Matches owners, and remembers descendants.
#[derive(Debug, Default)]
pub struct OwnerFilter {
    /// Processes that the kernel side has found to be descendants of those in the filter.
    descendants: HashSet<u32>,
}

impl OwnerFilter {
    /// Whether the owner matches. An unknown owner does not; once it is known, it is matched again.
    pub fn matches(
        &mut self,
        sets: &FilterSets,
        facts: &SocketFacts<'_>,
        kernel_decision: Option<bool>,
    ) -> Match {
        let pid = facts.task.map(|task| task.pid);
        let contains_owner = |pids: &HashSet<u32>| pid.is_some_and(|pid| pids.contains(&pid));
        if sets.descendants && sets.pids.as_ref().is_some_and(contains_owner) {
            return Match::No;
        }
        match kernel_decision {
            Some(false) => return Match::No,
            Some(true) => {
                if sets.descendants {
                    self.descendants.extend(pid);
                }
                return Match::Yes;
            }
            None => {}
        }
        let process = |pids| match sets.descendants {
            // Only the kernel side has followed the forks.
            true => facts.in_owners_call || contains_owner(&self.descendants),
            false => contains_owner(pids),
        };
        let FilterSets { pids, comms, cgroups, .. } = sets;
        Match::of(
            pids.as_ref().is_none_or(process)
                && comms
                    .as_ref()
                    .is_none_or(|comms| facts.task.is_some_and(|task| comms.contains(&task.comm)))
                && cgroups
                    .as_ref()
                    .is_none_or(|cgroups| facts.cgroup.is_some_and(|cgroup| cgroups.contain(cgroup))),
        )
    }
}
