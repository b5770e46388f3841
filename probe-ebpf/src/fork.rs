//! The descendants of the processes asked for.

use aya_ebpf::{
    EbpfContext as _, helpers::bpf_get_current_pid_tgid, macros::tracepoint, programs::TracePointContext,
};
use probe_ebpf::Field;

use crate::{
    access::{Access as _, Probed},
    filter::PIDS,
};

/// `sched:sched_process_fork`, in the parent. A new thread's id is added as well, which is no process's, and
/// does no harm.
#[tracepoint(category = "sched", name = "sched_process_fork")]
pub fn descend(ctx: TracePointContext) -> u32 {
    let parent = (bpf_get_current_pid_tgid() >> 32) as u32;
    // SAFETY: a key that lives as long as the call.
    if unsafe { PIDS.get(parent) }.is_some() {
        // SAFETY: the tracepoint's own record, read where its format file says.
        if let Some(child) = unsafe { Probed::field::<u32>(ctx.as_ptr().cast(), Field::ForkChild) } {
            let _ = PIDS.insert(child, 1, 0);
        }
    }
    0
}

/// `sched:sched_process_free`: the number will be another's. Not `sched_process_exit`, which comes too early for
/// three reasons: the descriptors are closed after it, the first thread may end before the others, and a thread
/// that calls exec makes the first one end and goes on under its number.
#[tracepoint(category = "sched", name = "sched_process_free")]
pub fn forget(ctx: TracePointContext) -> u32 {
    // SAFETY: the tracepoint's own record, read where its format file says.
    if let Some(gone) = unsafe { Probed::field::<u32>(ctx.as_ptr().cast(), Field::FreedTask) } {
        let _ = PIDS.remove(gone);
    }
    0
}
