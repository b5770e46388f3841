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
    if unsafe { PIDS.get(&parent) }.is_some() {
        // SAFETY: the tracepoint's own record, read where its format file says.
        if let Some(child) = unsafe { Probed::field::<u32>(ctx.as_ptr().cast(), Field::ForkChild) } {
            let _ = PIDS.insert(&child, &1, 0);
        }
    }
    0
}

/// `sched:sched_process_exit`, in the one that ends: its number will be another's. The sockets that it opened
/// have been decided on.
#[tracepoint(category = "sched", name = "sched_process_exit")]
pub fn exit(_ctx: TracePointContext) -> u32 {
    let id = bpf_get_current_pid_tgid() as u32;
    let _ = PIDS.remove(&id);
    0
}
