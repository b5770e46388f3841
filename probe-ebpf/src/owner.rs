//! Whose socket it is: the task that opened it, remembered with the socket itself.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
    generated::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_task_btf, bpf_task_pt_regs,
    },
};
use probe_ebpf::{COMM_LEN, Field, OpenedRecord, TaskRecord, UNKNOWN_U32};

use crate::{
    access::{Access, Direct},
    fields,
};

/// What the kernel keeps with a socket from its opening on.
#[repr(C)]
pub struct Stored {
    /// How often it was opened.
    pub generation: u32,
    /// `OWNER_*`
    pub known: u32,
    /// When the owner's process started.
    pub started_ns: u64,
    /// The owner's cgroup.
    pub cgroup: u64,
    /// The owner.
    pub owner: TaskRecord,
}

impl Stored {
    /// Makes the current task the owner.
    #[inline(always)]
    pub fn claim(&mut self, known: u32) {
        self.known = known;
        self.started_ns = current_started_ns();
        self.cgroup = current_cgroup();
        current_task(&raw mut self.owner);
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
            (*record).owner_started_ns = self.started_ns;
            (*record).owner_cgroup = self.cgroup;
            (*record).owner = self.owner;
        }
    }
}

/// Writes the current task straight to its place: a copy through the stack would become a call to
/// memcpy, which the kernel refuses.
#[inline(always)]
pub fn current_task(task: *mut TaskRecord) {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let uid = bpf_get_current_uid_gid() as u32;
    // SAFETY: callers pass a place in a map or in a reserved record.
    unsafe {
        (*task).tgid = tgid;
        (*task).uid = uid;
        bpf_get_current_comm((&raw mut (*task).comm).cast(), COMM_LEN as u32);
    }
}

/// The current task's cgroup v2 id.
#[inline(always)]
pub fn current_cgroup() -> u64 {
    // SAFETY: takes nothing.
    unsafe { bpf_get_current_cgroup_id() }
}

/// When the current process started, CLOCK_BOOTTIME; 0 where the kernel does not tell.
#[inline(always)]
pub fn current_started_ns() -> u64 {
    if fields::offset(Field::GroupLeader).is_none() || fields::offset(Field::StartBoottime).is_none() {
        return 0;
    }
    // SAFETY: the current task and its leader exist while the program runs.
    unsafe {
        let task: *const u8 = bpf_get_current_task_btf().cast();
        Direct::field::<*const u8>(task, Field::GroupLeader)
            .and_then(|leader| Direct::field::<u64>(leader, Field::StartBoottime))
            .unwrap_or(0)
    }
}

/// The system call that the current task is in.
#[inline(always)]
pub fn current_syscall() -> u32 {
    // Asked first: before Linux 5.15 the helper does not exist, and the branch must fall away.
    if fields::offset(Field::SyscallNumber).is_none() {
        return UNKNOWN_U32;
    }
    // SAFETY: the current task's saved registers are on its own kernel stack.
    unsafe {
        let registers = bpf_task_pt_regs(bpf_get_current_task_btf()) as *const u8;
        Direct::field::<u32>(registers, Field::SyscallNumber).unwrap_or(UNKNOWN_U32)
    }
}
