//! The task on the CPU.

use core::{ffi::c_void, marker::PhantomData};

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

/// The current task, looked up once.
pub struct Current<A> {
    task: *const u8,
    access: PhantomData<A>,
}

impl<A: Access> Current<A> {
    /// Looks it up.
    #[inline(always)]
    pub fn get() -> Self {
        Self { task: A::current_task(), access: PhantomData }
    }

    /// Whether it is a kernel thread, which acts for somebody else.
    #[inline(always)]
    pub fn is_kernel_thread(&self) -> bool {
        self.field::<u32>(Field::TaskFlags).is_some_and(|flags| flags & PF_KTHREAD != 0)
    }

    /// Its process's id; 0 for a kernel thread, which is nobody's process.
    #[inline(always)]
    pub fn process(&self) -> u32 {
        if self.is_kernel_thread() {
            return 0;
        }
        match self.field_at_hand(Field::Tgid) {
            Some(tgid) => tgid,
            None => (bpf_get_current_pid_tgid() >> 32) as u32,
        }
    }

    /// Writes it straight to its place: a copy through the stack would become a call to memcpy, which the kernel refuses.
    #[inline(always)]
    pub fn write(&self, task: *mut TaskRecord) {
        let (tgid, uid) = (self.process(), bpf_get_current_uid_gid() as u32);
        // SAFETY: callers pass a place in a map or in a reserved record.
        unsafe {
            (*task).tgid = tgid;
            (*task).uid = uid;
            let comm: *mut c_void = (&raw mut (*task).comm).cast();
            match (self.field::<*const u8>(Field::GroupLeader), fields::offset(Field::Comm)) {
                (Some(leader), Some(offset)) => {
                    let name = leader.wrapping_add(offset).cast();
                    if filter::names_comms() {
                        // Before Linux 5.17 the rest of an older, longer name may lie behind the NUL
                        // (`__set_task_comm`): as the key of a map it would be another name.
                        comm.cast::<[u32; COMM_LEN / 4]>().write([0; COMM_LEN / 4]);
                        bpf_probe_read_kernel_str(comm, COMM_LEN as u32, name);
                    } else {
                        bpf_probe_read_kernel(comm, COMM_LEN as u32, name);
                    }
                }
                // The thread's own name: the process's cannot be read.
                _ => {
                    bpf_get_current_comm(comm, COMM_LEN as u32);
                }
            }
        }
    }

    /// A field; `None` where this kernel does not tell.
    #[inline(always)]
    fn field<T: Copy>(&self, field: Field) -> Option<T> {
        // SAFETY: the current task exists while the program runs.
        unsafe { A::field(self.task, field) }
    }

    /// A field, where that is a plain load: a helper of its own costs less than reading by a helper.
    #[inline(always)]
    fn field_at_hand<T: Copy>(&self, field: Field) -> Option<T> {
        if A::IS_PLAIN { self.field(field) } else { None }
    }
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
pub fn syscall<A: Access>() -> u32 {
    // Asked first: before Linux 5.15 the helper does not exist, and the branch must fall away.
    if fields::offset(Field::SyscallNumber).is_none()
        || Current::<A>::get().field::<u32>(Field::ThreadStatus).is_some_and(|status| status & TS_COMPAT != 0)
    {
        return UNKNOWN_U32;
    }
    // SAFETY: the current task's saved registers are on its own kernel stack.
    unsafe {
        let registers = bpf_task_pt_regs(bpf_get_current_task_btf()) as *const u8;
        Direct::field::<u32>(registers, Field::SyscallNumber).unwrap_or(UNKNOWN_U32)
    }
}
