//! The BTF tracepoint: the kernel's own pointer to the socket, typed.

use aya_ebpf::{
    helpers::generated::{bpf_get_socket_cookie, bpf_skc_to_tcp_sock},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use probe_ebpf::{Field, RST_WATCHED, SOCKET_RST_RECEIVED};

use crate::{
    access::{Access, Direct, Probed},
    edge::{Address, Edge},
    fields,
    maps::{count_nested, is_busy, set_busy, stored, stored_or_new},
    modes,
    record::{AF_INET6, has_tcp_sock, is_tcp},
    report::{is_remembered, report},
    ring::Writers,
    stored::Stored,
};

/// `inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)`
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn transition_btf(ctx: BtfTracePointContext) -> i32 {
    set_busy(true);
    take(&ctx);
    set_busy(false);
    0
}

/// The same, for an event in a softirq that has interrupted [`transition_btf`]: the kernel does not run that one
/// again on the same CPU (`__bpf_trace_run`), but it does run another.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn transition_nested(ctx: BtfTracePointContext) -> i32 {
    if is_busy() {
        count_nested();
        take(&ctx);
    }
    0
}

#[inline(always)]
fn take(ctx: &BtfTracePointContext) {
    let sk: *const u8 = ctx.arg(0);
    // SAFETY: the tracepoint's own socket.
    let protocol = unsafe { Direct::field::<u16>(sk, Field::Protocol) };
    if let Some(protocol) = protocol.filter(|protocol| is_tcp(*protocol)) {
        let (old, new) = (ctx.arg::<i32>(1) as u8, ctx.arg::<i32>(2) as u8);
        report(&Typed { ctx, sk, protocol, old, new });
    }
}

/// The tracepoint's arguments.
struct Typed<'a> {
    ctx: &'a BtfTracePointContext,
    sk: *const u8,
    protocol: u16,
    old: u8,
    new: u8,
}

impl Edge for Typed<'_> {
    type Access = Direct;
    type Context = BtfTracePointContext;
    const INHERITS: bool = true;
    const WRITERS: Writers = Writers::Several;

    #[inline(always)]
    fn context(&self) -> &BtfTracePointContext {
        self.ctx
    }

    #[inline(always)]
    fn sk(&self) -> *const u8 {
        self.sk
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
        self.field(Field::Family).unwrap_or(0)
    }

    #[inline(always)]
    fn sport(&self) -> u16 {
        // `inet_sport` lies beyond `struct sock`, where plain loads end.
        let tcp = self.tcp_sock();
        // SAFETY: every socket of this tracepoint is a `struct inet_sock`, and `struct tcp_sock` begins with one.
        let port = unsafe {
            if tcp.is_null() {
                Probed::field::<u16>(self.sk, Field::LocalPort)
            } else {
                Direct::field::<u16>(tcp, Field::LocalPort)
            }
        };
        port.map_or(0, u16::from_be)
    }

    #[inline(always)]
    fn remote_port(&self) -> u16 {
        self.field::<u16>(Field::RemotePort).map_or(0, u16::from_be)
    }

    /// For IPv6 only the v6 fields count: the v4 ones hold nonsense there.
    #[inline(always)]
    fn addresses(&self, family: u16) -> (Address, Address) {
        if family == AF_INET6 {
            (self.v6(Field::LocalV6), self.v6(Field::RemoteV6))
        } else {
            (self.v4(Field::LocalV4), self.v4(Field::RemoteV4))
        }
    }

    #[inline(always)]
    fn cookie(&self) -> u64 {
        match self.field::<u64>(Field::Cookie) {
            // It has none until somebody asks for it, or this kernel does not show it.
            // SAFETY: the tracepoint's own socket.
            Some(0) | None => unsafe { bpf_get_socket_cookie(self.sk.cast_mut().cast()) },
            Some(cookie) => cookie,
        }
    }

    /// The helper answers null for a socket without a `tcp_sock`.
    #[inline(always)]
    fn tcp_sock(&self) -> *const u8 {
        if !has_tcp_sock(self.protocol) {
            return core::ptr::null();
        }
        // SAFETY: the tracepoint's own socket.
        unsafe { bpf_skc_to_tcp_sock(self.sk.cast_mut().cast()).cast() }
    }

    #[inline(always)]
    fn stored(&self) -> Option<&'static mut Stored> {
        // SAFETY: the tracepoint's own socket.
        unsafe { stored(self.sk) }
    }

    #[inline(always)]
    fn stored_or_new(&self) -> Option<&'static mut Stored> {
        // SAFETY: as above.
        unsafe { stored_or_new(self.sk) }
    }

    #[inline(always)]
    fn resets(&self, error: u32) -> u8 {
        if !modes::watches_resets() || !has_tcp_sock(self.protocol) {
            return 0;
        }
        // An RST always leaves an error (tcp_reset), so that the many closes without one cost no look into
        // the storage.
        if error == 0 {
            return RST_WATCHED;
        }
        match self.stored().map(Stored::take_reset) {
            Some(true) => RST_WATCHED | SOCKET_RST_RECEIVED,
            _ => RST_WATCHED,
        }
    }

    /// The kernel has cloned the listener's entry into the child before this first event of its.
    #[inline(always)]
    fn stored_for_child(&self) -> Option<&'static mut Stored> {
        // Of a listener older than the programs there is none. The child's course is its own all the same.
        let stored = self.stored().or_else(|| is_remembered().then(|| self.stored_or_new()).flatten())?;
        stored.adopt(self, 1);
        Some(stored)
    }
}

impl Typed<'_> {
    #[inline(always)]
    fn v4(&self, field: Field) -> Address {
        [self.field(field).unwrap_or(0), 0, 0, 0]
    }

    #[inline(always)]
    fn v6(&self, field: Field) -> Address {
        // SAFETY: the tracepoint's own socket.
        fields::offset(field)
            .and_then(|offset| unsafe { Direct::address_v6(self.sk, offset) })
            .unwrap_or([0; 4])
    }
}
