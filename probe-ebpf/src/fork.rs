//! The descendants of the selected processes.

use aya_ebpf::{
    EbpfContext as _, helpers::bpf_get_current_pid_tgid, macros::tracepoint, programs::TracePointContext,
};
use probe_ebpf::Field;

use crate::{
    filter::PIDS,
    kernel_memory::{Access as _, Probed},
};

/// `sched:sched_process_fork`, in the parent. It adds the ids of new threads as well, which is harmless: they are no
/// process ids.
#[tracepoint(category = "sched", name = "sched_process_fork")]
pub fn process_forked(ctx: TracePointContext) -> u32 {
    let parent = (bpf_get_current_pid_tgid() >> 32) as u32;
    // SAFETY: the key outlives the lookup.
    if unsafe { PIDS.get(parent) }.is_some() {
        // SAFETY: the tracepoint's own record, read at the offset in its format file.
        if let Some(child) = unsafe { Probed::field::<u32>(ctx.as_ptr().cast(), Field::ForkChild) } {
            let _ = PIDS.insert(child, 1, 0);
        }
    }
    0
}

/// `sched:sched_process_free`, after which the kernel reuses the id. `sched_process_exit` fires too early, for three
/// reasons: the kernel closes the descriptors after it, the first thread may exit before the others, and a thread that
/// calls exec makes the first thread exit and continues under its id.
#[tracepoint(category = "sched", name = "sched_process_free")]
pub fn process_freed(ctx: TracePointContext) -> u32 {
    // SAFETY: the tracepoint's own record, read at the offset in its format file.
    if let Some(freed) = unsafe { Probed::field::<u32>(ctx.as_ptr().cast(), Field::FreedTask) } {
        let _ = PIDS.remove(freed);
    }
    0
}
