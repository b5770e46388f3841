//! Calls of bind(2) that fail, on TCP sockets.
//!
//! One program, on the call's return: its arguments still lie where its entry saved the registers. So
//! nothing has to be remembered in between, a call that succeeds costs a look at its result, and the
//! entry of the host's other calls stays as fast as it was. A bind that io_uring does is no call and is
//! not seen; nor is a 32-bit one, which the kernel's tracepoint leaves out.

use core::mem::MaybeUninit;

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_get_current_task_btf, bpf_probe_read_user, bpf_task_pt_regs},
    macros::tracepoint,
    programs::TracePointContext,
};
use probe_ebpf::{BindRecord, Field, KIND_BIND, TaskRecord};

use crate::{
    access::{Access, Direct, Probed},
    edge::netns,
    filter::{self, Verdict},
    record::{AF_INET, AF_INET6, header, is_tcp},
    ring::{Writers, emit_now},
    task::{self, Task},
};

const SOCK_STREAM: u16 = 1;

/// The shortest IPv6 address that bind(2) takes (`SIN6_LEN_RFC2133`).
const SOCKADDR_V6_LEN: i32 = 24;

/// `syscalls:sys_exit_bind`, laid out as its format file says.
#[tracepoint(category = "syscalls", name = "sys_exit_bind")]
pub fn bind_failed(ctx: TracePointContext) -> u32 {
    let _ = report(ctx.as_ptr().cast());
    0
}

#[inline(always)]
fn report(event: *const u8) -> Option<()> {
    // SAFETY: the tracepoint's own record, read where the format file says.
    let returned = unsafe { Probed::field::<i64>(event, Field::BindReturned)? };
    if returned >= 0 {
        return None;
    }
    if filter::names_owners() && caller() == Verdict::Other {
        return None;
    }
    let call = Call::current()?;
    // SAFETY: called from the task's own system call.
    let sk = unsafe { stream_socket(call.descriptor)? };
    // SAFETY: the descriptor's own socket.
    let (protocol, family) =
        unsafe { (Probed::field::<u16>(sk, Field::Protocol)?, Probed::field::<u16>(sk, Field::Family)?) };
    if !is_tcp(protocol) || (family != AF_INET && family != AF_INET6) {
        return None;
    }
    emit_now(Writers::Several, |record: *mut BindRecord| unsafe {
        // SAFETY: a reserved record, of which every field is written.
        (&raw mut (*record).header).write(header(KIND_BIND));
        (*record).cookie = Probed::field(sk, Field::Cookie).unwrap_or(0);
        (*record).cgroup = task::cgroup();
        (*record).netns = netns::<Probed>(sk).unwrap_or(0);
        (*record).error = returned.unsigned_abs() as u32;
        (*record).protocol = protocol;
        (*record).family = family;
        call.fill_address(record);
        Task::<Probed>::current().write(&raw mut (*record).task);
    });
    Some(())
}

/// What the filter makes of the caller.
#[inline(always)]
fn caller() -> Verdict {
    let mut task = MaybeUninit::<TaskRecord>::uninit();
    Task::<Probed>::current().write(task.as_mut_ptr());
    // SAFETY: filled.
    filter::current_task(unsafe { task.assume_init_ref() })
}

/// The arguments of bind(2).
struct Call {
    descriptor: u32,
    address: u64,
    length: i32,
}

/// What the addresses of IPv4 and IPv6 have in common, and IPv4's own.
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
        // SAFETY: the current task's saved registers are on its own kernel stack.
        unsafe {
            let registers: *const u8 = bpf_task_pt_regs(bpf_get_current_task_btf()) as *const u8;
            Some(Self {
                descriptor: Direct::field::<u64>(registers, Field::FirstArgument)? as u32,
                address: Direct::field::<u64>(registers, Field::SecondArgument)?,
                length: Direct::field::<u64>(registers, Field::ThirdArgument)? as i32,
            })
        }
    }

    /// What was asked for. Of an address that is too short, or not there, everything is 0.
    ///
    /// # Safety
    /// `record` is a reserved record.
    #[inline(always)]
    unsafe fn fill_address(&self, record: *mut BindRecord) {
        let asked = self.read::<SocketAddress>(0, size_of::<SocketAddress>() as i32);
        let asked = asked.unwrap_or(SocketAddress { family: 0, port: 0, v4: 0 });
        let addr = if asked.family == AF_INET6 {
            self.read::<[u32; 4]>(8, SOCKADDR_V6_LEN).unwrap_or([0; 4])
        } else {
            [asked.v4, 0, 0, 0]
        };
        // SAFETY: the caller's promise.
        unsafe {
            (*record).address_family = asked.family;
            (*record).port = u16::from_be(asked.port);
            (&raw mut (*record).addr).cast::<[u32; 4]>().write(addr);
        }
    }

    /// Reads a part of the caller's address, where that is at least `needed` long.
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
        // SAFETY: filled on success.
        (status == 0).then(|| unsafe { value.assume_init() })
    }
}

/// The `struct sock` behind a descriptor of the current task, where it is a stream socket's. Raw
/// sockets can have TCP's protocol number, too.
///
/// # Safety
/// To be called from the task's own system call.
#[inline(always)]
unsafe fn stream_socket(descriptor: u32) -> Option<*const u8> {
    // SAFETY: every step reads a field of what the one before it points to, and survives one that
    // points nowhere.
    unsafe {
        let files = Probed::field(Probed::current_task(), Field::Files)?;
        let table = Probed::field(files, Field::FileTable)?;
        if descriptor >= Probed::field(table, Field::FileTableLength)? {
            return None;
        }
        let array = Probed::field(table, Field::FileTableArray)?;
        let file: *const u8 = Probed::at(array, descriptor as usize * size_of::<usize>())?;
        let socket = Probed::field(file, Field::FilePrivate)?;
        // A file of another kind keeps something else there, which does not point back.
        if Probed::field::<*const u8>(socket, Field::SocketFile)? != file
            || Probed::field::<u16>(socket, Field::SocketType)? != SOCK_STREAM
        {
            return None;
        }
        Probed::field(socket, Field::SocketSock)
    }
}
