//! The current task, and task records.

use core::marker::PhantomData;

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
    generated::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_probe_read_kernel, bpf_probe_read_kernel_str,
        bpf_task_pt_regs,
    },
};
use probe_ebpf::{COMM_LEN, Field, FilterFlags, TaskRecord, UNKNOWN_U16};

use crate::{
    config,
    kernel_memory::{Access, Direct},
    offsets,
};

/// `task_struct.flags`: a kernel thread, such as MPTCP's worker, which opens sockets on behalf of processes.
const PF_KTHREAD: u32 = 0x0020_0000;

/// `task_struct.flags`: the task exits, and closes its descriptors.
const PF_EXITING: u32 = 0x0000_0004;

/// `thread_info.status` on x86: the task is in a 32-bit system call.
const TS_COMPAT: u32 = 0x0002;

/// The current task, read by this kind of access.
pub struct Task<A> {
    current: *const u8,
    loaded: Option<Loaded>,
    access: PhantomData<A>,
}

/// The pointers in the task that were loaded ahead.
#[derive(Clone, Copy)]
struct Loaded {
    leader: Option<*const u8>,
    credentials: Option<*const u8>,
}

impl Task<Direct> {
    /// The current task, with the pointers in it loaded. The verifier needs a long time for a plain load of a pointer, on
    /// each path that leads to one, so that only this function loads them.
    #[inline(always)]
    pub fn load() -> Self {
        let current = Self::current();
        let (leader, credentials) = (current.field(Field::GroupLeader), current.field(Field::Credentials));
        Self { loaded: Some(Loaded { leader, credentials }), ..current }
    }
}

impl<A: Access> Task<A> {
    /// No task. Nothing may be read from it.
    #[inline(always)]
    pub fn none() -> Self {
        Self { current: core::ptr::null(), loaded: None, access: PhantomData }
    }

    /// The current task. Its fields are read when they are used.
    #[inline(always)]
    pub fn current() -> Self {
        Self { current: A::current_task(), loaded: None, access: PhantomData }
    }

    /// Whether it is a kernel thread, which acts on behalf of a process.
    #[inline(always)]
    pub fn is_kernel_thread(&self) -> bool {
        self.has_flag(PF_KTHREAD)
    }

    /// Whether it exits.
    #[inline(always)]
    pub fn is_exiting(&self) -> bool {
        self.has_flag(PF_EXITING)
    }

    #[inline(always)]
    fn has_flag(&self, flag: u32) -> bool {
        self.field::<u32>(Field::TaskFlags).is_some_and(|flags| flags & flag != 0)
    }

    /// The process id, or 0 for a kernel thread, which belongs to no process.
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
        // SAFETY: the task keeps its credentials while it runs.
        let user = credentials.and_then(|credentials| unsafe { A::field::<u32>(credentials, Field::User) });
        user.unwrap_or_else(|| bpf_get_current_uid_gid() as u32)
    }

    /// The number of the system call that the task is in. Unknown in a 32-bit call, whose numbers differ.
    #[inline(always)]
    pub fn syscall(&self) -> u16 {
        // Tested first: the helper is new in Linux 5.15, and the verifier must drop the branch before that.
        if offsets::offset(Field::SyscallNumber).is_none() {
            return UNKNOWN_U16;
        }
        let task = A::typed_task(self.current);
        // SAFETY: the current task, whose saved registers are on its own kernel stack.
        unsafe {
            if Direct::field::<u32>(task, Field::ThreadStatus).is_some_and(|status| status & TS_COMPAT != 0) {
                return UNKNOWN_U16;
            }
            let registers = bpf_task_pt_regs(task.cast_mut().cast()) as *const u8;
            let number = Direct::field::<u32>(registers, Field::SyscallNumber);
            // The numbers of x86's x32 calls do not fit.
            number.and_then(|number| u16::try_from(number).ok()).unwrap_or(UNKNOWN_U16)
        }
    }

    /// Writes the task in place: a copy through the stack would become a call to memcpy, which the kernel rejects.
    #[inline(always)]
    pub fn write(&self, record: *mut TaskRecord) {
        // SAFETY: callers pass a task record in a map, in a reserved record or on the stack.
        unsafe {
            (*record).tgid = self.process();
            (*record).uid = self.user();
            self.write_name(&raw mut (*record).comm);
        }
    }

    /// Writes the name of the process.
    ///
    /// # Safety
    /// `comm` is in a task record in a map, in a reserved record or on the stack.
    #[inline(always)]
    unsafe fn write_name(&self, comm: *mut [u8; COMM_LEN]) {
        let leader = match self.loaded {
            Some(loaded) => loaded.leader,
            None => self.field(Field::GroupLeader),
        };
        // SAFETY: the caller's promise. The group leader outlives its threads.
        unsafe {
            match (leader, offsets::offset(Field::Comm)) {
                (Some(leader), Some(offset)) if config::filters_by(FilterFlags::COMMS) => {
                    // Before Linux 5.17 the end of an earlier, longer name may follow the NUL
                    // (`__set_task_comm`), and would make another map key.
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
                // The thread's own name: the kernel does not show the process's.
                _ => {
                    bpf_get_current_comm(comm.cast(), COMM_LEN as u32);
                }
            }
        }
    }

    /// A field of `struct task_struct`, or `None` where this kernel lacks it.
    #[inline(always)]
    fn field<T: Copy>(&self, field: Field) -> Option<T> {
        // SAFETY: the current task exists while the program runs.
        unsafe { A::field(self.current, field) }
    }
}

/// The cgroup v2 id of the current task.
#[inline(always)]
pub fn cgroup() -> u64 {
    // SAFETY: the helper takes no argument.
    unsafe { bpf_get_current_cgroup_id() }
}

/// The number of words in a [`TaskRecord`].
const WORDS: usize = size_of::<TaskRecord>() / size_of::<u64>();

/// Copies a task record word by word: a copy of the whole would become a call to memcpy, which copies bytes.
///
/// # Safety
/// Both pointers are to task records in a map or in a reserved record, aligned to words.
#[inline(always)]
pub unsafe fn copy_record(to: *mut TaskRecord, from: *const TaskRecord) {
    for word in 0..WORDS {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<u64>().add(word).write_volatile(from.cast::<u64>().add(word).read_volatile()) };
    }
}

/// Clears a task record: no task.
///
/// # Safety
/// `record` is in a reserved record, aligned to words.
#[inline(always)]
pub unsafe fn clear_record(record: *mut TaskRecord) {
    for word in 0..WORDS {
        // SAFETY: the caller's promise.
        unsafe { record.cast::<u64>().add(word).write_volatile(0) };
    }
}
