//! The BTF tracepoint, which passes the kernel's own typed pointer to the socket.

use aya_ebpf::{
    helpers::generated::{bpf_get_socket_cookie, bpf_skc_to_tcp_sock},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use probe_ebpf::{Field, RST_WATCHED, SOCKET_RST_RECEIVED};

use crate::{
    config,
    kernel_memory::{Access, Direct, Probed},
    offsets,
    protocol::{AF_INET6, Address, has_tcp_sock, is_tcp},
    reentry::{EventId, Run},
    report::handle,
    ring::Writers,
    socket_state::SocketStatePtr,
    socket_storage, table,
    task::Task,
    tcp_state::{LISTEN, SYN_SENT},
    tracking::TrackedTransition,
    transition::{Transition, netns},
};

/// `inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)`
#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
pub fn transition_btf(ctx: BtfTracePointContext) -> i32 {
    if let Some(run) = Run::start_second(event(&ctx)) {
        handle_event(&ctx, &run);
        run.end();
    }
    0
}

/// The same, run before it: handles an event in a softirq that has interrupted [`transition_btf`], since the kernel does
/// not run that program again on the same CPU (`__bpf_trace_run`), but does run another one.
#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
pub fn transition_nested(ctx: BtfTracePointContext) -> i32 {
    if let Some(run) = Run::start_first(event(&ctx)) {
        handle_event(&ctx, &run);
        run.end();
    }
    0
}

#[inline(always)]
fn event(ctx: &BtfTracePointContext) -> EventId {
    EventId::new(ctx.arg(0), ctx.arg::<i32>(1) as u8, ctx.arg::<i32>(2) as u8)
}

#[inline(always)]
fn handle_event(ctx: &BtfTracePointContext, run: &Run) {
    let sk: *const u8 = ctx.arg(0);
    // SAFETY: the tracepoint's own socket.
    let protocol = unsafe { Direct::field::<u16>(sk, Field::Protocol) };
    if let Some(protocol) = protocol.filter(|protocol| is_tcp(*protocol)) {
        let (old, new) = (ctx.arg::<i32>(1) as u8, ctx.arg::<i32>(2) as u8);
        handle(&mut BtfTransition { ctx, run, sk, protocol, old, new, netns: None, task: Task::none() });
    }
}

/// Whether a child's listener can be found.
#[inline(always)]
fn can_find_listener() -> bool {
    offsets::offset(Field::SentQueue).is_some() && offsets::offset(Field::Cookie).is_some()
}

/// A transition by the tracepoint's arguments.
struct BtfTransition<'a> {
    ctx: &'a BtfTracePointContext,
    run: &'a Run,
    sk: *const u8,
    protocol: u16,
    old: u8,
    new: u8,
    /// Where it was read ahead.
    netns: Option<u32>,
    task: Task<Direct>,
}

impl Transition for BtfTransition<'_> {
    type Access = Direct;

    /// Reads the task's pointers here, so that the verifier checks these loads once, not on each path to them (see
    /// `Task::load`). Likewise the namespace for `--connections`. Where transitions are reported, it is read where it is
    /// used: there are few paths then, and the time of a run matters more.
    #[inline(always)]
    fn load(&mut self) {
        self.task = Task::load();
        if config::summaries() {
            self.netns = self.netns();
        }
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
    fn inet_sport(&self) -> u16 {
        // `inet_sport` is behind `struct sock`, beyond which the verifier allows no plain loads.
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

    #[inline(always)]
    fn task(&self) -> &Task<Direct> {
        &self.task
    }

    /// An IPv6 socket's v4 fields hold no address.
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
            // The socket gets a cookie when one is first requested; or this kernel does not show the field.
            // SAFETY: the tracepoint's own socket.
            Some(0) | None => unsafe { bpf_get_socket_cookie(self.sk.cast_mut().cast()) },
            Some(cookie) => cookie,
        }
    }

    /// The helper returns null for a socket that is no `struct tcp_sock`.
    #[inline(always)]
    fn tcp_sock(&self) -> *const u8 {
        if !has_tcp_sock(self.protocol) {
            return core::ptr::null();
        }
        // SAFETY: the tracepoint's own socket.
        unsafe { bpf_skc_to_tcp_sock(self.sk.cast_mut().cast()).cast() }
    }

    #[inline(always)]
    fn netns(&self) -> Option<u32> {
        // SAFETY: the tracepoint's own socket.
        self.netns.or_else(|| unsafe { netns::<Direct>(self.sk) })
    }
}

impl TrackedTransition for BtfTransition<'_> {
    type Context = BtfTracePointContext;
    const INHERITS_OWNER: bool = true;
    const WRITERS: Writers = Writers::Several;
    /// The program and `bpf_trace_run3`, at least.
    const OWN_FRAMES: u64 = 2;

    #[inline(always)]
    fn context(&self) -> &BtfTracePointContext {
        self.ctx
    }

    #[inline(always)]
    fn state(&self) -> Option<SocketStatePtr> {
        // SAFETY: the tracepoint's own socket; here and below.
        unsafe { socket_storage::find(self.sk, self.may_have_slot()) }
    }

    #[inline(always)]
    fn state_or_new(&self) -> Option<SocketStatePtr> {
        let listens = self.new == LISTEN;
        let takes_slot = self.is_slot_eligible() && (!listens || can_find_listener());
        // SAFETY: as above.
        let state = unsafe { socket_storage::find_or_new(self.sk, takes_slot) }?;
        if listens && can_find_listener() {
            state.mark_listener(self.cookie());
        }
        Some(state)
    }

    /// The kernel clones the listener's storage into the child before this first event of the child. Where the listener's
    /// state is in a slot, there is nothing to clone.
    #[inline(always)]
    fn track_child(&self) {
        // SAFETY: the tracepoint's own socket.
        if let Some(state) = unsafe { socket_storage::in_storage(self.sk) } {
            state.open_child(self, 1);
            return;
        }
        let listener = self.listener();
        // The listener was open before the trace, and has no state. The child's path is tracked nevertheless.
        if listener.is_none() && !config::tracks_sockets() {
            return;
        }
        // SAFETY: as above.
        if let Some(state) = unsafe { socket_storage::find_or_new(self.sk, self.is_slot_eligible()) } {
            if let Some((listener, cookie)) = listener {
                state.inherit_owner(listener, cookie);
            }
            state.open_child(self, 1);
        }
        if !config::tracks_sockets() {
            self.run.release_at_end(table::find(self.sk));
        }
    }

    #[inline(always)]
    fn track_close(&self) {
        let slot = if self.may_have_slot() { table::find(self.sk) } else { None };
        if !self.is_orphaned() && !self.is_counted() {
            // SAFETY: the tracepoint's own socket.
            unsafe { socket_storage::keep_generation(self.sk, slot, self.disconnects()) };
        }
        self.run.release_at_end(slot);
    }

    #[inline(always)]
    fn reset_flags(&self, error: u16, state: Option<SocketStatePtr>) -> u8 {
        if !config::watches_resets() || !has_tcp_sock(self.protocol) {
            return 0;
        }
        // An RST always leaves an error (tcp_reset), so that the frequent closes without an error need no lookup in the
        // storage.
        if error == 0 {
            return RST_WATCHED;
        }
        // The state of a socket that is not tracked can only be in its storage.
        let is_marked = if config::tracks_sockets() {
            state.is_some_and(SocketStatePtr::is_reset)
        } else {
            // SAFETY: as above.
            unsafe { socket_storage::in_storage(self.sk) }.is_some_and(SocketStatePtr::is_reset)
        };
        if is_marked { RST_WATCHED | SOCKET_RST_RECEIVED } else { RST_WATCHED }
    }
}

impl BtfTransition<'_> {
    /// Whether sockets of this protocol may have a slot. MPTCP's own may close without an event, and would never release
    /// it.
    #[inline(always)]
    fn is_slot_eligible(&self) -> bool {
        has_tcp_sock(self.protocol)
    }

    /// Whether the kernel counts the connection that ends here before another one begins on the socket: connect(2) does,
    /// which a process calls to dissolve a connection (`__inet_stream_connect`). shutdown(2) disconnects a listener or a
    /// socket in SYN_SENT, and counts nothing (`inet_shutdown`).
    #[inline(always)]
    fn is_counted(&self) -> bool {
        self.is_slot_eligible()
            && offsets::offset(Field::Disconnects).is_some()
            && self.old != LISTEN
            && self.old != SYN_SENT
    }

    /// Whether the socket may have a slot now: where sockets are not tracked, only listeners have one, and children at
    /// their first event.
    #[inline(always)]
    fn may_have_slot(&self) -> bool {
        self.is_slot_eligible() && (config::tracks_sockets() || self.old == LISTEN || self.new == LISTEN)
    }

    /// The state and the cookie of the listener of a child at its first event, if the listener has a slot. The child is
    /// still a plain copy of the listener (`sk_clone_lock`), lists included: the head of its list of sent and
    /// unacknowledged segments, which is empty, still points to the listener's head (`tcp_create_openreq_child`
    /// initialises it after this event).
    #[inline(always)]
    fn listener(&self) -> Option<(SocketStatePtr, u64)> {
        let tcp = self.tcp_sock();
        if tcp.is_null() || !can_find_listener() {
            return None;
        }
        let queue = offsets::offset(Field::SentQueue)?;
        // No plain load: the verifier needs a long time for one of a pointer.
        // SAFETY: a read at an address that is not mapped fails.
        unsafe {
            let listener = Probed::at::<*const u8>(tcp, queue)?.wrapping_sub(queue);
            let state = table::slot(table::find_released(listener)?)?;
            Some((state, Probed::field(listener, Field::Cookie)?))
        }
    }

    #[inline(always)]
    fn v4(&self, field: Field) -> Address {
        [self.field(field).unwrap_or(0), 0, 0, 0]
    }

    #[inline(always)]
    fn v6(&self, field: Field) -> Address {
        // SAFETY: the tracepoint's own socket.
        offsets::offset(field)
            .and_then(|offset| unsafe { Direct::address_v6(self.sk, offset) })
            .unwrap_or([0; 4])
    }
}
