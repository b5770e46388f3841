//! The classic tracepoint, which passes a formatted record, for hosts without BTF or before Linux 5.12.

use aya_ebpf::{EbpfContext as _, macros::tracepoint, programs::TracePointContext};
use probe_ebpf::Field;

use crate::{
    address_map,
    kernel_memory::{Access, Probed},
    offsets,
    protocol::{AF_INET6, Address, has_tcp_sock, is_tcp},
    report::handle,
    ring::Writers,
    socket_state::SocketStatePtr,
    task::Task,
    tcp_state::{LISTEN, SYN_RECV},
    tracking::TrackedTransition,
    transition::Transition,
};

/// `sock:inet_sock_set_state`, in the layout of its format file.
#[tracepoint(category = "sock", name = "inet_sock_set_state")]
pub fn transition_classic(ctx: TracePointContext) -> u32 {
    if let Some(mut transition) = ClassicTransition::of(&ctx).filter(|transition| is_tcp(transition.protocol))
    {
        handle(&mut transition);
    }
    0
}

/// A transition by the tracepoint's record.
struct ClassicTransition<'a> {
    ctx: &'a TracePointContext,
    event: *const u8,
    sk: u64,
    protocol: u16,
    old: u8,
    new: u8,
    task: Task<Probed>,
}

impl<'a> ClassicTransition<'a> {
    #[inline(always)]
    fn of(ctx: &'a TracePointContext) -> Option<Self> {
        let event: *const u8 = ctx.as_ptr().cast();
        // SAFETY: the tracepoint's own record, read at the offsets in its format file.
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

    /// A field of the tracepoint's record.
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

/// One byte before Linux 5.6, two bytes since.
#[inline(always)]
unsafe fn protocol(event: *const u8) -> Option<u16> {
    // SAFETY: the caller's record.
    unsafe {
        if offsets::offset(Field::EventProtocolSize) == Some(1) {
            Probed::field::<u8>(event, Field::EventProtocol).map(u16::from)
        } else {
            Probed::field::<u16>(event, Field::EventProtocol)
        }
    }
}

/// Without BTF all offsets into the socket are unknown, and nothing is read from it.
impl Transition for ClassicTransition<'_> {
    type Access = Probed;

    /// Nothing: each read costs a helper call, and happens where the value is used.
    #[inline(always)]
    fn load(&mut self) {}

    #[inline(always)]
    fn sk(&self) -> *const u8 {
        self.sk as *const u8
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
    fn inet_sport(&self) -> u16 {
        self.event(Field::EventLocalPort).unwrap_or(0)
    }

    #[inline(always)]
    fn remote_port(&self) -> u16 {
        self.event(Field::EventRemotePort).unwrap_or(0)
    }

    #[inline(always)]
    fn task(&self) -> &Task<Probed> {
        &self.task
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

    /// A child's first event precedes its identity before a3a128f611a9 (Linux 6.15, `inet_csk_clone_lock`): it still has
    /// the cookie of the listener that it was cloned from, and no remote port yet.
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
}

impl TrackedTransition for ClassicTransition<'_> {
    type Context = TracePointContext;
    const INHERITS_OWNER: bool = false;
    const WRITERS: Writers = Writers::One;
    /// The tracepoint has saved the registers of its caller.
    const OWN_FRAMES: u64 = 0;

    #[inline(always)]
    fn context(&self) -> &TracePointContext {
        self.ctx
    }

    #[inline(always)]
    fn state(&self) -> Option<SocketStatePtr> {
        address_map::find(self.sk)
    }

    #[inline(always)]
    fn state_or_new(&self) -> Option<SocketStatePtr> {
        address_map::find_or_insert(self.sk)
    }

    /// The record does not identify the listener. The reader may know its owner by the port.
    #[inline(always)]
    fn track_child(&self) {
        if let Some(state) = address_map::find_or_insert(self.sk) {
            state.forget_owner();
            state.open_child(self, state.next_generation());
        }
    }

    /// Nothing: the map evicts old states.
    #[inline(always)]
    fn track_close(&self) {}

    /// None: RSTs are observed on the BTF tracepoints only.
    #[inline(always)]
    fn reset_flags(&self, _error: u16, _state: Option<SocketStatePtr>) -> u8 {
        0
    }
}
