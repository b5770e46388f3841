//! The BTF tracepoint: the kernel's own pointer to the socket, typed.

use aya_ebpf::{
    helpers::generated::{bpf_get_socket_cookie, bpf_skc_to_tcp_sock},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use probe_ebpf::{Field, RST_WATCHED, SOCKET_RST_RECEIVED};

use crate::{
    access::{Access, Direct, Probed},
    edge::{Address, Edge, netns},
    fields,
    kept::{keep, keep_on, kept},
    maps::stored,
    modes,
    record::{AF_INET6, has_tcp_sock, is_tcp},
    report::{is_remembered, report},
    ring::Writers,
    run::{Event, Run},
    state::{LISTEN, SYN_SENT},
    stored::Stored,
    table,
    task::Task,
};

/// `inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)`
#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
pub fn transition_btf(ctx: BtfTracePointContext) -> i32 {
    if let Some(run) = Run::begin_second(event(&ctx)) {
        take(&ctx, &run);
        run.end();
    }
    0
}

/// The same, run before it: takes an event in a softirq that has interrupted [`transition_btf`], since the kernel does not run that
/// one again on the same CPU (`__bpf_trace_run`), but does run another.
#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
pub fn transition_nested(ctx: BtfTracePointContext) -> i32 {
    if let Some(run) = Run::begin_first(event(&ctx)) {
        take(&ctx, &run);
        run.end();
    }
    0
}

#[inline(always)]
fn event(ctx: &BtfTracePointContext) -> Event {
    Event::new(ctx.arg(0), ctx.arg::<i32>(1) as u8, ctx.arg::<i32>(2) as u8)
}

#[inline(always)]
fn take(ctx: &BtfTracePointContext, run: &Run) {
    let sk: *const u8 = ctx.arg(0);
    // SAFETY: the tracepoint's own socket.
    let protocol = unsafe { Direct::field::<u16>(sk, Field::Protocol) };
    if let Some(protocol) = protocol.filter(|protocol| is_tcp(*protocol)) {
        let (old, new) = (ctx.arg::<i32>(1) as u8, ctx.arg::<i32>(2) as u8);
        report(&mut Typed { ctx, run, sk, protocol, old, new, netns: None, task: Task::nobody() });
    }
}

/// Whether a child leads to its listener.
#[inline(always)]
fn leads_to_listener() -> bool {
    fields::offset(Field::SentQueue).is_some() && fields::offset(Field::Cookie).is_some()
}

/// The tracepoint's arguments.
struct Typed<'a> {
    ctx: &'a BtfTracePointContext,
    run: &'a Run,
    sk: *const u8,
    protocol: u16,
    old: u8,
    new: u8,
    /// Once it was read.
    netns: Option<u32>,
    task: Task<Direct>,
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
    fn task(&self) -> &Task<Direct> {
        &self.task
    }

    #[inline(always)]
    fn netns(&self) -> Option<u32> {
        // SAFETY: the tracepoint's own socket.
        self.netns.or_else(|| unsafe { netns::<Direct>(self.sk) })
    }

    /// Verified once, not on each way that leads to it (see `Task::load`). Where each transition is told the namespace is as
    /// well read at its place: there are few ways then, and the time of a run counts more.
    #[inline(always)]
    fn load(&mut self) {
        self.task = Task::load();
        if modes::summaries() {
            self.netns = self.netns();
        }
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
        // SAFETY: the tracepoint's own socket; here and below.
        unsafe { kept(self.sk, self.has_place()) }
    }

    #[inline(always)]
    fn stored_or_new(&self) -> Option<&'static mut Stored> {
        let listens = self.new == LISTEN;
        // SAFETY: as above.
        let stored = unsafe { keep(self.sk, self.may_have_place() && (!listens || leads_to_listener())) }?;
        if listens && leads_to_listener() {
            stored.mark_listener(self.cookie());
        }
        Some(stored)
    }

    #[inline(always)]
    fn resets(&self, error: u32, kept: Option<&Stored>) -> u8 {
        if !modes::watches_resets() || !has_tcp_sock(self.protocol) {
            return 0;
        }
        // An RST always leaves an error (tcp_reset), so that the many closes without one cost no look into
        // the storage.
        if error == 0 {
            return RST_WATCHED;
        }
        // What nobody follows can have nothing but storage.
        let is_marked = if is_remembered() {
            kept.is_some_and(Stored::is_reset)
        } else {
            // SAFETY: as above.
            unsafe { stored(self.sk) }.is_some_and(|stored| stored.is_reset())
        };
        if is_marked { RST_WATCHED | SOCKET_RST_RECEIVED } else { RST_WATCHED }
    }

    /// The kernel clones what is stored with the listener into the child before this first event of its. Of a listener that
    /// has a place, nothing is cloned.
    #[inline(always)]
    fn remember_child(&self) {
        // SAFETY: the tracepoint's own socket.
        if let Some(stored) = unsafe { stored(self.sk) } {
            stored.adopt(self, 1);
            return;
        }
        let listener = self.listener();
        // Of a listener older than the programs nothing is known. The child's course is its own all the same.
        if listener.is_none() && !is_remembered() {
            return;
        }
        // SAFETY: as above.
        if let Some(stored) = unsafe { keep(self.sk, self.may_have_place()) } {
            if let Some((listener, cookie)) = listener {
                stored.inherit(listener, cookie);
            }
            stored.adopt(self, 1);
        }
        if !is_remembered() {
            self.run.leaves(table::find(self.sk));
        }
    }

    #[inline(always)]
    fn remember_end(&self) {
        let place = if self.has_place() { table::find(self.sk) } else { None };
        if !self.is_orphaned() && !self.is_counted() {
            // SAFETY: the tracepoint's own socket.
            unsafe { keep_on(self.sk, place, self.former_connections()) };
        }
        self.run.leaves(place);
    }
}

impl Typed<'_> {
    /// Whether the socket may have a place in the table. MPTCP's own may close without an event.
    #[inline(always)]
    fn may_have_place(&self) -> bool {
        has_tcp_sock(self.protocol)
    }

    /// Whether the kernel itself counts what ends here before another connection begins on the socket: connect(2) does, of which it
    /// takes one to leave a connection (`__inet_stream_connect`). shutdown(2) disconnects a listener, and what is still connecting,
    /// and nobody counts that (`inet_shutdown`).
    #[inline(always)]
    fn is_counted(&self) -> bool {
        self.may_have_place()
            && fields::offset(Field::Disconnects).is_some()
            && self.old != LISTEN
            && self.old != SYN_SENT
    }

    /// Whether it can have one now: where nobody asks to follow sockets, listeners have one, and their children at their first event.
    #[inline(always)]
    fn has_place(&self) -> bool {
        self.may_have_place() && (is_remembered() || self.old == LISTEN || self.new == LISTEN)
    }

    /// The listener of a child at its first event, where it has a place, and its cookie. The child is a plain copy of the listener
    /// then (`sk_clone_lock`), lists and all: the head of what is sent and not acknowledged, which is nothing, still points to the
    /// listener's (`tcp_create_openreq_child` makes it anew after this event).
    #[inline(always)]
    fn listener(&self) -> Option<(&'static Stored, u64)> {
        let tcp = self.tcp_sock();
        if tcp.is_null() || !leads_to_listener() {
            return None;
        }
        let queue = fields::offset(Field::SentQueue)?;
        // No plain load: the kernel takes its time to verify one of a pointer.
        // SAFETY: reads at any address fail where there is nothing.
        unsafe {
            let listener = Probed::at::<*const u8>(tcp, queue)?.wrapping_sub(queue);
            let stored = table::place(table::find_last(listener)?)?;
            Some((stored, Probed::field(listener, Field::Cookie)?))
        }
    }

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
