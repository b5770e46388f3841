//! Whose socket it is: the task that opened it, remembered with the socket itself.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
    generated::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_task_btf, bpf_probe_read_kernel,
        bpf_task_pt_regs,
    },
};
use probe_ebpf::{COMM_LEN, Field, OWNER_EXACT, OWNER_UNKNOWN, OpenedRecord, TaskRecord, UNKNOWN_U32};

use crate::{
    access::{Access, Direct},
    fields,
};

/// `task_struct.flags`: a kernel thread, such as MPTCP's worker, which opens sockets for others.
const PF_KTHREAD: u32 = 0x0020_0000;

/// `thread_info.status` on x86: the task is in a 32-bit system call.
const TS_COMPAT: u32 = 0x0002;

/// What the kernel keeps with a socket from its opening on.
#[repr(C)]
pub struct Stored {
    /// How often it was opened.
    pub generation: u32,
    /// `OWNER_*`
    pub known: u32,
    /// The owner's cgroup.
    pub cgroup: u64,
    /// The owner.
    pub owner: TaskRecord,
}

impl Stored {
    /// Makes the task the owner. A kernel thread acts for somebody: where that is known it stays.
    #[inline(always)]
    pub fn claim(&mut self, task: &TaskRecord) {
        if is_kernel_thread(task) {
            if self.known != OWNER_EXACT {
                self.known = OWNER_UNKNOWN;
            }
            return;
        }
        self.known = OWNER_EXACT;
        self.cgroup = current_cgroup();
        self.owner = *task;
    }

    /// Copies the owner into a record.
    ///
    /// # Safety
    /// `record` is a reserved record.
    #[inline(always)]
    pub unsafe fn copy_to(&self, record: *mut OpenedRecord) {
        // SAFETY: the caller's promise.
        unsafe {
            (*record).known = self.known;
            (*record).generation = self.generation;
            (*record).owner_cgroup = self.cgroup;
            (*record).owner = self.owner;
        }
    }
}

/// Makes the task on the CPU the owner in a record alone, where there is no storage.
///
/// # Safety
/// `record` is a reserved record, its transition filled in.
#[inline(always)]
pub unsafe fn claim_in(record: *mut OpenedRecord) {
    // SAFETY: the caller's promise.
    unsafe {
        let task = (*record).transition.task;
        (*record).known = if is_kernel_thread(&task) { OWNER_UNKNOWN } else { OWNER_EXACT };
        (*record).owner_cgroup = current_cgroup();
        (*record).owner = task;
    }
}

/// Marks the owner as unknown in a record.
///
/// # Safety
/// `record` is a reserved record, its transition filled in.
#[inline(always)]
pub unsafe fn unknown_in(record: *mut OpenedRecord) {
    // SAFETY: the caller's promise.
    unsafe {
        (*record).known = OWNER_UNKNOWN;
        (*record).owner_cgroup = 0;
        // Never shown; but what was in the ring's memory before must not leave it.
        (*record).owner = (*record).transition.task;
    }
}

/// Whether the task is nobody's process: see [`current_task`].
#[inline(always)]
fn is_kernel_thread(task: &TaskRecord) -> bool {
    task.tgid == 0
}

/// Writes the current task straight to its place: a copy through the stack would become a call to
/// memcpy, which the kernel refuses. A kernel thread is given as 0.
#[inline(always)]
pub fn current_task<A: Access>(task: *mut TaskRecord) {
    let kernel_thread = current::<A, u32>(Field::TaskFlags).is_some_and(|flags| flags & PF_KTHREAD != 0);
    let tgid = if kernel_thread { 0 } else { (bpf_get_current_pid_tgid() >> 32) as u32 };
    let uid = bpf_get_current_uid_gid() as u32;
    // SAFETY: callers pass a place in a map or in a reserved record.
    unsafe {
        (*task).tgid = tgid;
        (*task).uid = uid;
        let comm = (&raw mut (*task).comm).cast();
        // The thread's own name first: it stays where the process's cannot be read.
        bpf_get_current_comm(comm, COMM_LEN as u32);
        if let (Some(leader), Some(offset)) =
            (current::<A, *const u8>(Field::GroupLeader), fields::offset(Field::Comm))
        {
            bpf_probe_read_kernel(comm, COMM_LEN as u32, leader.wrapping_add(offset).cast());
        }
    }
}

/// A field of the current task; `None` where this kernel does not tell.
#[inline(always)]
fn current<A: Access, T: Copy>(field: Field) -> Option<T> {
    // SAFETY: the current task exists while the program runs.
    unsafe { A::field(A::current_task(), field) }
}

/// The current task's cgroup v2 id.
#[inline(always)]
pub fn current_cgroup() -> u64 {
    // SAFETY: takes nothing.
    unsafe { bpf_get_current_cgroup_id() }
}

/// The system call that the current task is in. A 32-bit one has another number for the same, and is
/// unknown.
#[inline(always)]
pub fn current_syscall<A: Access>() -> u32 {
    // Asked first: before Linux 5.15 the helper does not exist, and the branch must fall away.
    if fields::offset(Field::SyscallNumber).is_none()
        || current::<A, u32>(Field::ThreadStatus).is_some_and(|status| status & TS_COMPAT != 0)
    {
        return UNKNOWN_U32;
    }
    // SAFETY: the current task's saved registers are on its own kernel stack.
    unsafe {
        let registers = bpf_task_pt_regs(bpf_get_current_task_btf()) as *const u8;
        Direct::field::<u32>(registers, Field::SyscallNumber).unwrap_or(UNKNOWN_U32)
    }
}
