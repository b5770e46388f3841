//! Whose sockets are meant.

use foldhash::HashSet;

use super::facts::{Facts, Fit};
use crate::model::{Cgroup, Filter, Name};

/// What the filter has learnt of processes.
#[derive(Debug, Default)]
pub struct Owners {
    /// Processes that the kernel side has found to be descendants of those asked for.
    descendants: HashSet<u32>,
}

impl Owners {
    /// Whether the owner is one of those asked for. One that is not known is not; when it becomes known, the
    /// question is asked again.
    pub fn fit(&mut self, filter: &Filter, facts: &Facts<'_>, kernels_word: Option<bool>) -> Fit {
        let pid = facts.task.map(|task| task.pid);
        if filter.descendants && pid.is_some_and(|pid| filter.pids.contains(&pid)) {
            return Fit::No;
        }
        match kernels_word {
            Some(false) => return Fit::No,
            Some(true) => {
                if filter.descendants {
                    self.descendants.extend(pid);
                }
                return Fit::Yes;
            }
            None => {}
        }
        let Filter { comms, cgroups, .. } = filter;
        let fits = self.process(filter, facts, pid)
            && (comms.is_empty() || facts.task.is_some_and(|task| comms.contains(&task.comm)))
            && (cgroups.is_empty() || facts.cgroup.is_some_and(|cgroup| is_in(cgroup, cgroups)));
        if fits { Fit::Yes } else { Fit::No }
    }

    fn process(&self, filter: &Filter, facts: &Facts<'_>, pid: Option<u32>) -> bool {
        if filter.pids.is_empty() {
            return true;
        }
        if filter.descendants {
            // Who descends from whom, the kernel side alone has followed.
            return facts.in_owners_call || pid.is_some_and(|pid| self.descendants.contains(&pid));
        }
        pid.is_some_and(|pid| filter.pids.contains(&pid))
    }
}

/// Whether the cgroup is one of those, or lies in one.
fn is_in<'a>(cgroup: &'a Cgroup, wanted: &'a [Cgroup]) -> bool {
    let path = |cgroup: &'a Cgroup| cgroup.path.as_ref().map(Name::as_bytes);
    wanted.iter().any(|wanted| {
        cgroup.id == wanted.id
            || path(cgroup).zip(path(wanted)).is_some_and(|(path, top)| is_below(path, top))
    })
}

fn is_below(path: &[u8], top: &[u8]) -> bool {
    let top = top.strip_suffix(b"/").unwrap_or(top);
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}
