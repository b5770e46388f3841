//! Whose a socket is.
//!
//! Only some reports run in the owner's own call: those of opening, and most of closing. The rest run
//! in softirq on whatever task is there, on loopback the *peer's*, so the owner is remembered from
//! the few and kept through the many.

use std::sync::Arc;

use super::{cgroups::Cgroups, listeners::Listeners, shared::Shared};
use crate::model::{Cause, CauseKind, Known, Opened, Owner, Report, State, Task};

/// The owner as the kernel side tells it.
pub fn told(report: &Report, cgroups: &Cgroups, shared: &mut Shared) -> Option<Arc<Owner>> {
    let Opened { owner, known, cgroup, .. } = report.opened.as_ref()?;
    let task = owner.as_ref()?;
    Some(shared.find(task, *cgroup, *known).unwrap_or_else(|| {
        let cgroup = cgroup.map(|id| cgroups.by_id(id));
        shared.share(Owner { task: Some(task.clone()), cgroup, known: *known })
    }))
}

/// The owner at the first report of a connection or of a listener.
pub fn at_opening(
    report: &Report,
    listeners: &Listeners,
    cgroups: &Cgroups,
    shared: &mut Shared,
) -> Arc<Owner> {
    if let Some(owner) = told(report, cgroups, shared) {
        return owner;
    }
    let child = report.old == State::Listen;
    let owner = if child {
        listeners.owner_of_child(report.netns, report.ends.local)
    } else {
        // connect and listen run in their caller, whatever else the kernel side could not tell.
        report.task.as_ref().map(|task| Owner { task: Some(task.clone()), cgroup: None, known: Known::Exact })
    };
    owner.map_or_else(Owner::nobody, |owner| shared.share(owner))
}

/// Of a socket whose owner nobody knows, a guess: who was on the CPU when a call moved it. What a segment or a timer
/// moves runs under anybody.
pub fn guess(owner: &mut Arc<Owner>, report: &Report, cause: Option<Cause>, shared: &mut Shared) {
    let by_call = cause.is_some_and(|cause| cause.kind() == CauseKind::Call);
    if owner.known == Known::Unknown
        && by_call
        && let Some(task) = report.task.as_ref().filter(|task| !is_kernel_worker(task))
    {
        *owner = shared.share(Owner { task: Some(task.clone()), cgroup: None, known: Known::Inferred });
    }
}

/// The report ran in a call on this socket: whoever made it has the socket now. A worker that accepted
/// what its parent listens for becomes known so. One that is known exactly stays.
pub fn claim(owner: &mut Arc<Owner>, report: &Report, shared: &mut Shared) {
    let Some(task) = report.task.as_ref().filter(|task| !is_kernel_worker(task)) else { return };
    if owner.known != Known::Exact {
        let same = owner.task.as_ref().is_some_and(|owner| owner.pid == task.pid);
        let cgroup = owner.cgroup.clone().filter(|_| same);
        *owner = shared.share(Owner { task: Some(task.clone()), cgroup, known: Known::Exact });
    }
}

/// The last reference to a file can be dropped where it cannot be closed: then a kernel worker does
/// it (`delayed_fput`), in nobody's name.
fn is_kernel_worker(task: &Task) -> bool {
    task.comm.as_bytes().starts_with(b"kworker/")
}
