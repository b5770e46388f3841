//! The task on the CPU.

use core::marker::PhantomData;

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
    generated::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_probe_read_kernel, bpf_probe_read_kernel_str,
        bpf_task_pt_regs,
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

/// The current task, read in this way.
pub struct Task<A> {
    current: *const u8,
    loaded: Option<Loaded>,
    access: PhantomData<A>,
}

/// What it points to.
#[derive(Clone, Copy)]
struct Loaded {
    leader: Option<*const u8>,
    credentials: Option<*const u8>,
}

impl Task<Direct> {
    /// With what it points to: the kernel takes its time to verify a plain load of a pointer, on each way that leads there.
    /// Here there is one.
    #[inline(always)]
    pub fn load() -> Self {
        let current = Self::current();
        let (leader, credentials) = (current.field(Field::GroupLeader), current.field(Field::Credentials));
        Self { loaded: Some(Loaded { leader, credentials }), ..current }
    }
}

impl<A: Access> Task<A> {
    /// Not to be asked.
    #[inline(always)]
    pub fn nobody() -> Self {
        Self { current: core::ptr::null(), loaded: None, access: PhantomData }
    }

    /// Nothing is read of it yet.
    #[inline(always)]
    pub fn current() -> Self {
        Self { current: A::current_task(), loaded: None, access: PhantomData }
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
        let loaded = if A::IS_CHEAP { self.field(Field::ThreadGroup) } else { None };
        loaded.unwrap_or_else(|| (bpf_get_current_pid_tgid() >> 32) as u32)
    }

    #[inline(always)]
    fn user(&self) -> u32 {
        let credentials = self.loaded.and_then(|loaded| loaded.credentials);
        // SAFETY: they are there while the task runs.
        let user = credentials.and_then(|credentials| unsafe { A::field::<u32>(credentials, Field::User) });
        user.unwrap_or_else(|| bpf_get_current_uid_gid() as u32)
    }

    /// The system call that it is in. A 32-bit one has another number for the same, and is unknown.
    #[inline(always)]
    pub fn syscall(&self) -> u32 {
        // Asked first: before Linux 5.15 the helper does not exist, and the branch must fall away.
        if fields::offset(Field::SyscallNumber).is_none() {
            return UNKNOWN_U32;
        }
        let task = A::typed_task(self.current);
        // SAFETY: the current task, whose saved registers are on its own kernel stack.
        unsafe {
            if Direct::field::<u32>(task, Field::ThreadStatus).is_some_and(|status| status & TS_COMPAT != 0) {
                return UNKNOWN_U32;
            }
            let registers = bpf_task_pt_regs(task.cast_mut().cast()) as *const u8;
            Direct::field::<u32>(registers, Field::SyscallNumber).unwrap_or(UNKNOWN_U32)
        }
    }

    /// Writes it straight to its place: a copy through the stack would become a call to memcpy, which the kernel refuses.
    #[inline(always)]
    pub fn write(&self, record: *mut TaskRecord) {
        // SAFETY: callers pass a place in a map or in a reserved record.
        unsafe {
            (*record).tgid = self.process();
            (*record).uid = self.user();
            self.write_name(&raw mut (*record).comm);
        }
    }

    /// The process's name.
    ///
    /// # Safety
    /// `comm` is a place in a map or in a reserved record.
    #[inline(always)]
    unsafe fn write_name(&self, comm: *mut [u8; COMM_LEN]) {
        let leader = match self.loaded {
            Some(loaded) => loaded.leader,
            None => self.field(Field::GroupLeader),
        };
        // SAFETY: the caller's promise; the leader outlives its threads.
        unsafe {
            match (leader, fields::offset(Field::Comm)) {
                (Some(leader), Some(offset)) if filter::names_comms() => {
                    // Before Linux 5.17 the rest of an older, longer name may lie behind the NUL
                    // (`__set_task_comm`): as the key of a map it would be another name.
                    comm.cast::<[u32; COMM_LEN / 4]>().write([0; COMM_LEN / 4]);
                    let name = leader.wrapping_add(offset);
                    bpf_probe_read_kernel_str(comm.cast(), COMM_LEN as u32, name.cast());
                }
                (Some(leader), Some(offset)) if A::IS_CHEAP => {
                    for at in 0..COMM_LEN {
                        comm.cast::<u8>().add(at).write_volatile(A::at(leader, offset + at).unwrap_or(0));
                    }
                }
                (Some(leader), Some(offset)) => {
                    let name = leader.wrapping_add(offset);
                    bpf_probe_read_kernel(comm.cast(), COMM_LEN as u32, name.cast());
                }
                // The thread's own name: the process's cannot be read.
                _ => {
                    bpf_get_current_comm(comm.cast(), COMM_LEN as u32);
                }
            }
        }
    }

    /// A field of it; `None` where this kernel does not tell.
    #[inline(always)]
    fn field<T: Copy>(&self, field: Field) -> Option<T> {
        // SAFETY: the current task is there while the program runs.
        unsafe { A::field(self.current, field) }
    }
}

/// The current task's cgroup v2 id.
#[inline(always)]
pub fn cgroup() -> u64 {
    // SAFETY: takes nothing.
    unsafe { bpf_get_current_cgroup_id() }
}
