//! The owner of a socket.
//!
//! Only some transitions run in a system call of the owner: those of opening and most of closing. The others run in softirq on
//! top of any task, on loopback the *peer's*: the tracker takes the owner from the former and ignores the task of the
//! latter.

use std::sync::Arc;

use super::{cgroups::Cgroups, listeners::Listeners, owner_cache::OwnerCache};
use crate::model::{Cause, CauseKind, Known, Opened, Owner, Report, State, Task};

/// The owner that the kernel side reports.
pub fn reported(report: &Report, cgroups: &Cgroups, owners: &mut OwnerCache) -> Option<Arc<Owner>> {
    let Opened { owner, known, cgroup, .. } = report.opened.as_ref()?;
    let task = owner.as_ref()?;
    Some(owners.find(task, *cgroup, *known).unwrap_or_else(|| {
        let cgroup = cgroup.map(|id| cgroups.by_id(id));
        owners.share(Owner { task: Some(task.clone()), cgroup, known: *known })
    }))
}

/// The owner at the first report of a connection or of a listener.
pub fn at_opening(
    report: &Report,
    listeners: &Listeners,
    cgroups: &Cgroups,
    owners: &mut OwnerCache,
) -> Arc<Owner> {
    if let Some(owner) = reported(report, cgroups, owners) {
        return owner;
    }
    let child = report.old == State::Listen;
    let owner = if child {
        listeners.owner_of_child(&report.identity)
    } else {
        // connect and listen run in the caller, even where the kernel side reports no owner.
        report.task.as_ref().map(|task| Owner { task: Some(task.clone()), cgroup: None, known: Known::Exact })
    };
    owner.map_or_else(Owner::unknown, |owner| owners.share(owner))
}

/// For a socket without a known owner, guesses the task on the CPU at a transition by a system call. A segment or a timer runs
/// on top of any task.
pub fn guess(owner: &mut Arc<Owner>, report: &Report, cause: Option<Cause>, owners: &mut OwnerCache) {
    let by_call = cause.is_some_and(|cause| cause.kind() == CauseKind::Call);
    if owner.known == Known::Unknown
        && by_call
        && let Some(task) = report.task.as_ref().filter(|task| !is_kernel_worker(task))
    {
        *owner = owners.share(Owner { task: Some(task.clone()), cgroup: None, known: Known::Inferred });
    }
}

/// The transition ran in a system call on this socket: the caller has it. That identifies a worker that accepted a connection
/// of its parent's listener. An exactly known owner stays.
pub fn claim(owner: &mut Arc<Owner>, report: &Report, owners: &mut OwnerCache) {
    let Some(task) = report.task.as_ref().filter(|task| !is_kernel_worker(task)) else { return };
    if owner.known != Known::Exact {
        let same = owner.task.as_ref().is_some_and(|owner| owner.pid == task.pid);
        let cgroup = owner.cgroup.clone().filter(|_| same);
        *owner = owners.share(Owner { task: Some(task.clone()), cgroup, known: Known::Exact });
    }
}

/// Where the last reference to a file is dropped in a context that cannot close it, a kernel worker does
/// (`delayed_fput`): the task is not the owner.
fn is_kernel_worker(task: &Task) -> bool {
    task.comm.as_bytes().starts_with(b"kworker/")
}
