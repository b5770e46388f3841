//! The classic tracepoint: what the kernel formatted, for hosts without BTF or before Linux 5.12.

use aya_ebpf::{EbpfContext as _, macros::tracepoint, programs::TracePointContext};
use probe_ebpf::Field;

use crate::{
    access::{Access, Probed},
    edge::{Address, Edge},
    fields,
    maps::{stored_at, stored_or_new_at},
    record::{AF_INET6, has_tcp_sock, is_tcp},
    report::report,
    ring::Writers,
    state::{LISTEN, SYN_RECV},
    stored::Stored,
    task::Task,
};

/// `sock:inet_sock_set_state`, laid out as its format file says.
#[tracepoint(category = "sock", name = "inet_sock_set_state")]
pub fn transition_classic(ctx: TracePointContext) -> u32 {
    if let Some(mut edge) = Formatted::of(&ctx).filter(|edge| is_tcp(edge.protocol)) {
        report(&mut edge);
    }
    0
}

/// What the tracepoint recorded of the socket.
struct Formatted<'a> {
    ctx: &'a TracePointContext,
    event: *const u8,
    sk: u64,
    protocol: u16,
    old: u8,
    new: u8,
    task: Task<Probed>,
}

impl<'a> Formatted<'a> {
    #[inline(always)]
    fn of(ctx: &'a TracePointContext) -> Option<Self> {
        let event: *const u8 = ctx.as_ptr().cast();
        // SAFETY: the tracepoint's own record, read where the format file says.
        unsafe {
            Some(Self {
                ctx,
                event,
                sk: Probed::field::<u64>(event, Field::EventSkaddr)?,
                protocol: protocol(event)?,
                old: Probed::field::<i32>(event, Field::EventOldState)? as u8,
                new: Probed::field::<i32>(event, Field::EventNewState)? as u8,
                task: Task::current(),
            })
        }
    }

    /// A field of the record.
    #[inline(always)]
    fn event<T: Copy>(&self, field: Field) -> Option<T> {
        // SAFETY: the tracepoint's own record.
        unsafe { Probed::field(self.event, field) }
    }

    #[inline(always)]
    fn v4(&self, field: Field) -> Address {
        [self.event(field).unwrap_or(0), 0, 0, 0]
    }
}

/// One byte before Linux 5.6, two since.
#[inline(always)]
unsafe fn protocol(event: *const u8) -> Option<u16> {
    // SAFETY: the caller's record.
    unsafe {
        if fields::offset(Field::EventProtocolSize) == Some(1) {
            Probed::field::<u8>(event, Field::EventProtocol).map(u16::from)
        } else {
            Probed::field::<u16>(event, Field::EventProtocol)
        }
    }
}

/// Without BTF every offset into the socket itself is unknown, and nothing is read there.
impl Edge for Formatted<'_> {
    type Access = Probed;
    type Context = TracePointContext;
    const INHERITS: bool = false;
    const WRITERS: Writers = Writers::One;

    #[inline(always)]
    fn context(&self) -> &TracePointContext {
        self.ctx
    }

    /// What it needs costs a helper each, and is read where it is needed.
    #[inline(always)]
    fn load(&mut self) {}

    #[inline(always)]
    fn sk(&self) -> *const u8 {
        self.sk as *const u8
    }

    #[inline(always)]
    fn task(&self) -> &Task<Probed> {
        &self.task
    }

    #[inline(always)]
    fn protocol(&self) -> u16 {
        self.protocol
    }

    #[inline(always)]
    fn old_state(&self) -> u8 {
        self.old
    }

    #[inline(always)]
    fn new_state(&self) -> u8 {
        self.new
    }

    #[inline(always)]
    fn family(&self) -> u16 {
        self.event(Field::EventFamily).unwrap_or(0)
    }

    #[inline(always)]
    fn sport(&self) -> u16 {
        self.event(Field::EventLocalPort).unwrap_or(0)
    }

    #[inline(always)]
    fn remote_port(&self) -> u16 {
        self.event(Field::EventRemotePort).unwrap_or(0)
    }

    #[inline(always)]
    fn addresses(&self, family: u16) -> (Address, Address) {
        if family == AF_INET6 {
            (
                self.event(Field::EventLocalV6).unwrap_or([0; 4]),
                self.event(Field::EventRemoteV6).unwrap_or([0; 4]),
            )
        } else {
            (self.v4(Field::EventLocalV4), self.v4(Field::EventRemoteV4))
        }
    }

    /// A child's first event comes before its identity, up to Linux 6.12 at least (`inet_csk_clone_lock`): its cookie is
    /// its listener's still, which it was cloned from, and its remote port is not there yet.
    #[inline(always)]
    fn cookie(&self) -> u64 {
        if self.old == LISTEN && self.new == SYN_RECV && self.remote_port() == 0 {
            return 0;
        }
        self.field(Field::Cookie).unwrap_or(0)
    }

    /// `struct tcp_sock` begins with its `struct sock`.
    #[inline(always)]
    fn tcp_sock(&self) -> *const u8 {
        if has_tcp_sock(self.protocol) { self.sk() } else { core::ptr::null() }
    }

    #[inline(always)]
    fn stored(&self) -> Option<&'static mut Stored> {
        stored_at(self.sk)
    }

    #[inline(always)]
    fn stored_or_new(&self) -> Option<&'static mut Stored> {
        stored_or_new_at(self.sk)
    }

    /// They are watched on the BTF tracepoints alone.
    #[inline(always)]
    fn resets(&self, _error: u32, _stored: Option<&Stored>) -> u8 {
        0
    }

    /// The listener's entry is not at hand here: the reader may know the owner by the port.
    #[inline(always)]
    fn remember_child(&self) {
        if let Some(stored) = stored_or_new_at(self.sk) {
            stored.forget();
            stored.adopt(self, stored.next_generation());
        }
    }

    /// The map forgets by itself.
    #[inline(always)]
    fn remember_end(&self) {}
}
