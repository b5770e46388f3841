//! The BTF tracepoint: the kernel's own pointer to the socket, typed.

use aya_ebpf::{
    helpers::generated::{bpf_get_socket_cookie, bpf_skc_to_tcp_sock},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use aya_log_ebpf::{debug, warn};
use probe_ebpf::{
    ClosedRecord, Field, KIND_CLOSED, KIND_OPENED, KIND_TRANSITION, OWNER_EXACT, OWNER_LISTENER,
    OpenedRecord, TransitionRecord,
};

use crate::{
    access::{Access, Direct, Probed},
    fields,
    maps::{emit, stored, stored_or_new},
    owner,
    record::{AF_INET6, Shape, fill_context, fill_counters, fill_socket, has_tcp_sock, is_tcp},
};

/// `inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)`
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn transition_btf(ctx: BtfTracePointContext) -> i32 {
    let _ = report(&ctx);
    0
}

#[inline(always)]
fn report(ctx: &BtfTracePointContext) -> Option<()> {
    let sk: *const u8 = ctx.arg(0);
    let (old, new) = (ctx.arg::<i32>(1) as u8, ctx.arg::<i32>(2) as u8);
    // SAFETY: the tracepoint's own socket, here and below.
    let protocol = unsafe { Direct::field::<u16>(sk, Field::Protocol)? };
    if !is_tcp(protocol) {
        return None;
    }
    let edge = Edge { sk, protocol, old, new };
    match Shape::of(old, new) {
        Shape::Call => emit(|record| edge.fill_call(ctx, record)),
        Shape::Child => emit(|record| edge.fill_child(ctx, record)),
        Shape::Closed => emit(|record| edge.fill_closed(record)),
        Shape::Plain => emit(|record| edge.fill(record, KIND_TRANSITION)),
    }
    Some(())
}

/// The tracepoint's arguments.
struct Edge {
    sk: *const u8,
    protocol: u16,
    old: u8,
    new: u8,
}

impl Edge {
    /// The caller of `connect` or `listen` becomes the owner.
    #[inline(always)]
    fn fill_call(&self, ctx: &BtfTracePointContext, record: *mut OpenedRecord) {
        // SAFETY: a reserved record.
        unsafe {
            self.fill(&raw mut (*record).transition, KIND_OPENED);
            if let Some(stored) = stored_or_new(self.sk) {
                stored.generation += 1;
                stored.claim(&(*record).transition.task);
                stored.copy_to(record);
                debug!(
                    ctx,
                    "opened: cookie {} generation {}",
                    (*record).transition.cookie,
                    stored.generation
                );
                return;
            }
            // No memory for the storage: the owner is still at hand for this event.
            warn!(
                ctx,
                "no storage for socket {}: its children will have no owner",
                (*record).transition.cookie
            );
            (*record).generation = 1;
            owner::claim_in(record);
        }
    }

    /// The kernel has cloned the listener's entry into the child before this first event of its.
    #[inline(always)]
    fn fill_child(&self, ctx: &BtfTracePointContext, record: *mut OpenedRecord) {
        // SAFETY: a reserved record.
        unsafe {
            self.fill(&raw mut (*record).transition, KIND_OPENED);
            if let Some(stored) = stored(self.sk) {
                stored.generation = 1;
                if stored.known == OWNER_EXACT {
                    stored.known = OWNER_LISTENER;
                }
                stored.copy_to(record);
                return;
            }
            debug!(ctx, "child {} of a listener older than the tracer", (*record).transition.cookie);
            (*record).generation = 1;
            owner::unknown_in(record);
        }
    }

    #[inline(always)]
    fn fill_closed(&self, record: *mut ClosedRecord) {
        // SAFETY: a reserved record. The helper answers null for a socket without a `tcp_sock`.
        unsafe {
            self.fill(&raw mut (*record).transition, KIND_CLOSED);
            let tcp: *const u8 = if has_tcp_sock(self.protocol) {
                bpf_skc_to_tcp_sock(self.sk.cast_mut().cast()).cast()
            } else {
                core::ptr::null()
            };
            fill_counters::<Direct>(record, tcp);
        }
    }

    #[inline(always)]
    fn fill(&self, record: *mut TransitionRecord, kind: u32) {
        let sk = self.sk;
        // SAFETY: a reserved record, and the tracepoint's own socket.
        unsafe {
            fill_context::<Direct>(record, kind);
            fill_socket::<Direct>(record, sk);
            (*record).cookie = bpf_get_socket_cookie(sk.cast_mut().cast());
            (*record).skaddr = sk as u64;
            (*record).protocol = self.protocol;
            (*record).old = self.old;
            (*record).new = self.new;
            let family = Direct::field::<u16>(sk, Field::Family).unwrap_or(0);
            (*record).family = family;
            // `inet_sport` lies beyond `struct sock`, where plain loads end.
            (*record).local_port = Probed::field::<u16>(sk, Field::LocalPort).map_or(0, u16::from_be);
            (*record).remote_port = Direct::field::<u16>(sk, Field::RemotePort).map_or(0, u16::from_be);
            fill_addresses(record, sk, family);
        }
    }
}

/// For IPv6 only the v6 fields count: the v4 ones hold nonsense there.
///
/// # Safety
/// `record` is a reserved record, `sk` the tracepoint's own socket.
#[inline(always)]
unsafe fn fill_addresses(record: *mut TransitionRecord, sk: *const u8, family: u16) {
    // SAFETY: the caller's promise.
    unsafe {
        let (local, remote) = if family == AF_INET6 {
            (v6(sk, Field::LocalV6), v6(sk, Field::RemoteV6))
        } else {
            (v4(sk, Field::LocalV4), v4(sk, Field::RemoteV4))
        };
        (&raw mut (*record).local_addr).cast::<[u32; 4]>().write(local);
        (&raw mut (*record).remote_addr).cast::<[u32; 4]>().write(remote);
    }
}

#[inline(always)]
unsafe fn v4(sk: *const u8, field: Field) -> [u32; 4] {
    // SAFETY: the caller's socket.
    [unsafe { Direct::field::<u32>(sk, field).unwrap_or(0) }, 0, 0, 0]
}

#[inline(always)]
unsafe fn v6(sk: *const u8, field: Field) -> [u32; 4] {
    // SAFETY: the caller's socket.
    fields::offset(field).and_then(|offset| unsafe { Direct::address_v6(sk, offset) }).unwrap_or([0; 4])
}
