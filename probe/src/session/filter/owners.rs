//! Whose sockets are meant.

use foldhash::HashSet;

use super::{
    facts::{Facts, Fit},
    sets::Sets,
};

/// What the filter has learnt of processes.
#[derive(Debug, Default)]
pub struct Owners {
    /// Processes that the kernel side has found to be descendants of those asked for.
    descendants: HashSet<u32>,
}

impl Owners {
    /// Whether the owner is one of those asked for. One that is not known is not; when it becomes known, the
    /// question is asked again.
    pub fn fit(&mut self, sought: &Sets, facts: &Facts<'_>, kernels_word: Option<bool>) -> Fit {
        let pid = facts.task.map(|task| task.pid);
        let is_named = |pids: &HashSet<u32>| pid.is_some_and(|pid| pids.contains(&pid));
        if sought.descendants && sought.pids.as_ref().is_some_and(is_named) {
            return Fit::No;
        }
        match kernels_word {
            Some(false) => return Fit::No,
            Some(true) => {
                if sought.descendants {
                    self.descendants.extend(pid);
                }
                return Fit::Yes;
            }
            None => {}
        }
        let process = |pids| match sought.descendants {
            // Who descends from whom, the kernel side alone has followed.
            true => facts.in_owners_call || is_named(&self.descendants),
            false => is_named(pids),
        };
        let Sets { pids, comms, cgroups, .. } = sought;
        Fit::of(
            pids.as_ref().is_none_or(process)
                && comms
                    .as_ref()
                    .is_none_or(|comms| facts.task.is_some_and(|task| comms.contains(&task.comm)))
                && cgroups
                    .as_ref()
                    .is_none_or(|groups| facts.cgroup.is_some_and(|cgroup| groups.contain(cgroup))),
        )
    }
}
