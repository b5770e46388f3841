//! The task on the CPU.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
    generated::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_task_btf, bpf_probe_read_kernel,
        bpf_probe_read_kernel_str, bpf_task_pt_regs,
    },
};
use probe_ebpf::{COMM_LEN, Field, TaskRecord, UNKNOWN_U32};

use crate::{
    access::{Access, Direct},
    fields, filter,
};

/// `task_struct.flags`: a kernel thread, such as MPTCP's worker, which opens sockets for others.
const PF_KTHREAD: u32 = 0x0020_0000;

/// `thread_info.status` on x86: the task is in a 32-bit system call.
const TS_COMPAT: u32 = 0x0002;

/// Whether the current task is a kernel thread, which acts for somebody else.
#[inline(always)]
pub fn is_kernel_thread<A: Access>() -> bool {
    is_kernels::<A>(A::current_task())
}

/// The current process's id; 0 for a kernel thread, which is nobody's process.
#[inline(always)]
pub fn process<A: Access>() -> u32 {
    process_of::<A>(A::current_task())
}

/// Writes the current task straight to its place: a copy through the stack would become a call to
/// memcpy, which the kernel refuses.
#[inline(always)]
pub fn write<A: Access>(task: *mut TaskRecord) {
    let current = A::current_task();
    let (tgid, uid) = (process_of::<A>(current), bpf_get_current_uid_gid() as u32);
    // SAFETY: callers pass a place in a map or in a reserved record.
    unsafe {
        (*task).tgid = tgid;
        (*task).uid = uid;
        write_name::<A>(current, &raw mut (*task).comm);
    }
}

/// The process's name.
///
/// # Safety
/// `comm` is a place in a map or in a reserved record.
#[inline(always)]
unsafe fn write_name<A: Access>(current: *const u8, comm: *mut [u8; COMM_LEN]) {
    let leader = field_of::<A, *const u8>(current, Field::GroupLeader);
    // SAFETY: the caller's promise; the leader outlives its threads.
    unsafe {
        match (leader, fields::offset(Field::Comm)) {
            (Some(leader), Some(offset)) if filter::names_comms() => {
                // Before Linux 5.17 the rest of an older, longer name may lie behind the NUL
                // (`__set_task_comm`): as the key of a map it would be another name.
                comm.cast::<[u32; COMM_LEN / 4]>().write([0; COMM_LEN / 4]);
                bpf_probe_read_kernel_str(comm.cast(), COMM_LEN as u32, leader.wrapping_add(offset).cast());
            }
            (Some(leader), Some(offset)) if A::IS_CHEAP => {
                for at in 0..COMM_LEN {
                    comm.cast::<u8>().add(at).write_volatile(A::at(leader, offset + at).unwrap_or(0));
                }
            }
            (Some(leader), Some(offset)) => {
                bpf_probe_read_kernel(comm.cast(), COMM_LEN as u32, leader.wrapping_add(offset).cast());
            }
            // The thread's own name: the process's cannot be read.
            _ => {
                bpf_get_current_comm(comm.cast(), COMM_LEN as u32);
            }
        }
    }
}

#[inline(always)]
fn is_kernels<A: Access>(current: *const u8) -> bool {
    field_of::<A, u32>(current, Field::TaskFlags).is_some_and(|flags| flags & PF_KTHREAD != 0)
}

#[inline(always)]
fn process_of<A: Access>(current: *const u8) -> u32 {
    if is_kernels::<A>(current) {
        return 0;
    }
    let loaded = if A::IS_CHEAP { field_of::<A, u32>(current, Field::ThreadGroup) } else { None };
    loaded.unwrap_or_else(|| (bpf_get_current_pid_tgid() >> 32) as u32)
}

/// A field of an object that is there while the current task runs; `None` where this kernel does not tell.
#[inline(always)]
fn field_of<A: Access, T: Copy>(object: *const u8, field: Field) -> Option<T> {
    // SAFETY: callers pass the current task, or what belongs to it.
    unsafe { A::field(object, field) }
}

/// The current task's cgroup v2 id.
#[inline(always)]
pub fn cgroup() -> u64 {
    // SAFETY: takes nothing.
    unsafe { bpf_get_current_cgroup_id() }
}

/// The system call that the current task is in. A 32-bit one has another number for the same, and is
/// unknown.
#[inline(always)]
pub fn syscall() -> u32 {
    // Asked first: before Linux 5.15 the helper does not exist, and the branch must fall away.
    if fields::offset(Field::SyscallNumber).is_none() {
        return UNKNOWN_U32;
    }
    // SAFETY: takes nothing.
    let current: *const u8 = unsafe { bpf_get_current_task_btf() }.cast();
    if field_of::<Direct, u32>(current, Field::ThreadStatus).is_some_and(|status| status & TS_COMPAT != 0) {
        return UNKNOWN_U32;
    }
    // SAFETY: the current task's saved registers are on its own kernel stack.
    unsafe {
        let registers = bpf_task_pt_regs(current.cast_mut().cast()) as *const u8;
        Direct::field::<u32>(registers, Field::SyscallNumber).unwrap_or(UNKNOWN_U32)
    }
}
