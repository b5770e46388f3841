//! Calls of bind(2) on TCP sockets that fail.
//!
//! One program, on the call's return: the arguments are still in the registers that the call's entry saved. So there is
//! no state to store between entry and return, a call that succeeds costs one test of its result, and the entry of the
//! host's other system calls is not slowed down. It does not see a bind by io_uring, which is no system call, nor a 32-bit
//! one, which the kernel's tracepoint omits.

use core::mem::MaybeUninit;

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_get_current_task_btf, bpf_probe_read_user, bpf_task_pt_regs},
    macros::tracepoint,
    programs::TracePointContext,
};
use probe_ebpf::{
    BindRecord, Field, KIND_BIND, OPTION_REUSE_ADDR, OPTION_REUSE_PORT, OPTION_V6_ONLY, TaskRecord,
    UNKNOWN_U32,
};

use crate::{
    config,
    filter::{self, Decision},
    kernel_memory::{Access, Direct, Probed, bits},
    protocol::{AF_INET, AF_INET6, Address, is_tcp},
    record::header,
    ring::{Writers, emit_and_wake},
    task::{self, Task},
    transition::netns,
};

const SOCK_STREAM: u16 = 1;

/// The shortest IPv6 address that bind(2) takes (`SIN6_LEN_RFC2133`).
const SOCKADDR_V6_LEN: i32 = 24;

/// `syscalls:sys_exit_bind`, in the layout of its format file.
#[tracepoint(category = "syscalls", name = "sys_exit_bind")]
pub fn bind_failed(ctx: TracePointContext) -> u32 {
    let _ = report(ctx.as_ptr().cast());
    0
}

#[inline(always)]
fn report(event: *const u8) -> Option<()> {
    // SAFETY: the tracepoint's own record, read at the offset in its format file.
    let returned = unsafe { Probed::field::<i64>(event, Field::BindReturned)? };
    if returned >= 0 {
        return None;
    }
    if config::filters_by_owner() && match_caller() == Decision::NoMatch {
        return None;
    }
    let call = Call::current()?;
    // SAFETY: this runs in the task's own system call.
    let sk = unsafe { stream_socket(call.descriptor)? };
    // SAFETY: the descriptor's own socket.
    let (protocol, family) =
        unsafe { (Probed::field::<u16>(sk, Field::Protocol)?, Probed::field::<u16>(sk, Field::Family)?) };
    if !is_tcp(protocol) || (family != AF_INET && family != AF_INET6) {
        return None;
    }
    emit_and_wake(Writers::Several, |record: *mut BindRecord| unsafe {
        // SAFETY: a reserved record, of which every field is written.
        (&raw mut (*record).header).write(header(KIND_BIND));
        (*record).cookie = Probed::field(sk, Field::Cookie).unwrap_or(0);
        (*record).cgroup = task::cgroup();
        (*record).netns = netns::<Probed>(sk).unwrap_or(0);
        (*record).error = returned.unsigned_abs() as u32;
        (*record).protocol = protocol;
        (*record).family = family;
        (*record).options = options(sk).unwrap_or(UNKNOWN_U32);
        (*record).device = Probed::field(sk, Field::BoundDevice).unwrap_or(UNKNOWN_U32);
        (*record).uid = Probed::field(sk, Field::SocketUser).unwrap_or(UNKNOWN_U32);
        (*record).padding = 0;
        call.fill_address(record);
        Task::<Probed>::current().write(&raw mut (*record).task);
    });
    Some(())
}

/// The filter's decision on the caller.
#[inline(always)]
fn match_caller() -> Decision {
    let mut task = MaybeUninit::<TaskRecord>::uninit();
    Task::<Probed>::current().write(task.as_mut_ptr());
    // SAFETY: filled in, on this program's stack.
    unsafe { filter::match_owner(task.as_ptr()) }
}

/// The options that decide whether the socket can share a port, as in [`BindRecord::options`]. A bind that failed has left
/// them as they were.
///
/// # Safety
/// `sk` is a `struct sock`.
#[inline(always)]
unsafe fn options(sk: *const u8) -> Option<u32> {
    let mut options = 0;
    for (field, mask, option) in [
        (Field::ReuseAddr, Field::ReuseAddrMask, OPTION_REUSE_ADDR),
        (Field::ReusePort, Field::ReusePortMask, OPTION_REUSE_PORT),
        (Field::V6Only, Field::V6OnlyMask, OPTION_V6_ONLY),
    ] {
        // SAFETY: the caller's promise.
        if unsafe { bits::<Probed>(sk, field, mask)? } != 0 {
            options |= option;
        }
    }
    Some(options)
}

/// The arguments of bind(2).
struct Call {
    descriptor: u32,
    address: u64,
    length: i32,
}

/// The common start of `sockaddr_in` and `sockaddr_in6`, and IPv4's address.
#[derive(Clone, Copy)]
#[repr(C)]
struct SocketAddress {
    family: u16,
    /// In network order.
    port: u16,
    v4: u32,
}

impl Call {
    #[inline(always)]
    fn current() -> Option<Self> {
        // SAFETY: the saved registers of the current task are on its own kernel stack.
        unsafe {
            let registers: *const u8 = bpf_task_pt_regs(bpf_get_current_task_btf()) as *const u8;
            Some(Self {
                descriptor: Direct::field::<u64>(registers, Field::FirstArgument)? as u32,
                address: Direct::field::<u64>(registers, Field::SecondArgument)?,
                length: Direct::field::<u64>(registers, Field::ThirdArgument)? as i32,
            })
        }
    }

    /// Fills in the requested address: all 0 where it is too short or cannot be read.
    ///
    /// # Safety
    /// `record` is a reserved record.
    #[inline(always)]
    unsafe fn fill_address(&self, record: *mut BindRecord) {
        let requested = self.read::<SocketAddress>(0, size_of::<SocketAddress>() as i32);
        let requested = requested.unwrap_or(SocketAddress { family: 0, port: 0, v4: 0 });
        let addr = if requested.family == AF_INET6 {
            self.read::<Address>(8, SOCKADDR_V6_LEN).unwrap_or([0; 4])
        } else {
            [requested.v4, 0, 0, 0]
        };
        // SAFETY: the caller's promise.
        unsafe {
            (*record).address_family = requested.family;
            (*record).port = u16::from_be(requested.port);
            (&raw mut (*record).addr).cast::<Address>().write(addr);
        }
    }

    /// Reads a part of the caller's address, if the address is at least `needed` bytes long.
    #[inline(always)]
    fn read<T: Copy>(&self, offset: u64, needed: i32) -> Option<T> {
        if self.length < needed {
            return None;
        }
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the helper fills the value or returns an error, whatever the address is.
        let status = unsafe {
            bpf_probe_read_user(
                value.as_mut_ptr().cast(),
                size_of::<T>() as u32,
                self.address.wrapping_add(offset) as *const _,
            )
        };
        // SAFETY: the helper filled it, since it returned 0.
        (status == 0).then(|| unsafe { value.assume_init() })
    }
}

/// The `struct sock` of a descriptor of the current task, if it is a stream socket's. Raw sockets can have TCP's protocol
/// number, too.
///
/// # Safety
/// Runs in the task's own system call.
#[inline(always)]
unsafe fn stream_socket(descriptor: u32) -> Option<*const u8> {
    // SAFETY: every step reads a field of the object that the previous one points to, and fails where that is not
    // mapped.
    unsafe {
        let files = Probed::field(Probed::current_task(), Field::Files)?;
        let table = Probed::field(files, Field::FileTable)?;
        if descriptor >= Probed::field(table, Field::FileTableLength)? {
            return None;
        }
        let array = Probed::field(table, Field::FileTableArray)?;
        let file: *const u8 = Probed::at(array, descriptor as usize * size_of::<usize>())?;
        let socket = Probed::field(file, Field::FilePrivate)?;
        // Files of other kinds keep other data there, which does not point back to the file.
        if Probed::field::<*const u8>(socket, Field::SocketFile)? != file
            || Probed::field::<u16>(socket, Field::SocketType)? != SOCK_STREAM
        {
            return None;
        }
        Probed::field(socket, Field::SocketSock)
    }
}
