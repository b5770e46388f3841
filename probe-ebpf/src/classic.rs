//! The classic tracepoint: what the kernel formatted, for hosts without BTF or before Linux 5.12.

use aya_ebpf::{EbpfContext as _, macros::tracepoint, programs::TracePointContext};
use aya_log_ebpf::debug;
use probe_ebpf::{
    ClosedRecord, Field, KIND_CLOSED, KIND_OPENED, KIND_TRANSITION, OpenedRecord, TransitionRecord,
};

use crate::{
    access::{Access, Probed},
    fields,
    maps::{emit, next_generation},
    owner,
    record::{AF_INET6, Shape, fill_context, fill_counters, fill_socket, has_tcp_sock, is_tcp},
};

/// `sock:inet_sock_set_state`, laid out as its format file says.
#[tracepoint(category = "sock", name = "inet_sock_set_state")]
pub fn transition_classic(ctx: TracePointContext) -> u32 {
    let _ = report(&ctx);
    0
}

#[inline(always)]
fn report(ctx: &TracePointContext) -> Option<()> {
    let event: *const u8 = ctx.as_ptr().cast();
    // SAFETY: the tracepoint's own record, read where the format file says, here and below.
    let edge = unsafe {
        Edge {
            event,
            sk: Probed::field::<u64>(event, Field::EventSkaddr)?,
            protocol: protocol(event)?,
            old: Probed::field::<i32>(event, Field::EventOldState)? as u8,
            new: Probed::field::<i32>(event, Field::EventNewState)? as u8,
        }
    };
    if !is_tcp(edge.protocol) {
        return None;
    }
    match Shape::of(edge.old, edge.new) {
        Shape::Call => emit(|record| edge.fill_call(ctx, record)),
        Shape::Child => emit(|record| edge.fill_child(record)),
        Shape::Closed => emit(|record| edge.fill_closed(record)),
        Shape::Plain => emit(|record| edge.fill(record, KIND_TRANSITION)),
    }
    Some(())
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

/// What the tracepoint recorded of the socket.
struct Edge {
    event: *const u8,
    sk: u64,
    protocol: u16,
    old: u8,
    new: u8,
}

impl Edge {
    #[inline(always)]
    fn fill_call(&self, ctx: &TracePointContext, record: *mut OpenedRecord) {
        // SAFETY: a reserved record.
        unsafe {
            self.fill(&raw mut (*record).transition, KIND_OPENED);
            (*record).generation = next_generation(self.sk);
            owner::claim_in(record);
            debug!(ctx, "opened: skaddr {:x} generation {}", self.sk, (*record).generation);
        }
    }

    /// The listener's owner is not at hand here: the reader may know it by the port.
    #[inline(always)]
    fn fill_child(&self, record: *mut OpenedRecord) {
        // SAFETY: a reserved record.
        unsafe {
            self.fill(&raw mut (*record).transition, KIND_OPENED);
            (*record).generation = next_generation(self.sk);
            owner::unknown_in(record);
        }
    }

    #[inline(always)]
    fn fill_closed(&self, record: *mut ClosedRecord) {
        let tcp = if has_tcp_sock(self.protocol) { self.sk as *const u8 } else { core::ptr::null() };
        // SAFETY: a reserved record; `struct tcp_sock` begins with its `struct sock`.
        unsafe {
            self.fill(&raw mut (*record).transition, KIND_CLOSED);
            fill_counters::<Probed>(record, tcp);
        }
    }

    #[inline(always)]
    fn fill(&self, record: *mut TransitionRecord, kind: u32) {
        let (event, sk) = (self.event, self.sk as *const u8);
        // SAFETY: a reserved record; reads that fail leave their field unknown.
        unsafe {
            fill_context::<Probed>(record, kind);
            // Without BTF every one of these offsets is unknown, and nothing is read.
            fill_socket::<Probed>(record, sk);
            (*record).cookie = Probed::field::<u64>(sk, Field::Cookie).unwrap_or(0);
            (*record).skaddr = self.sk;
            (*record).protocol = self.protocol;
            (*record).old = self.old;
            (*record).new = self.new;
            let family = Probed::field::<u16>(event, Field::EventFamily).unwrap_or(0);
            (*record).family = family;
            (*record).local_port = Probed::field(event, Field::EventLocalPort).unwrap_or(0);
            (*record).remote_port = Probed::field(event, Field::EventRemotePort).unwrap_or(0);
            let (local, remote) = if family == AF_INET6 {
                (
                    Probed::field::<[u32; 4]>(event, Field::EventLocalV6).unwrap_or([0; 4]),
                    Probed::field::<[u32; 4]>(event, Field::EventRemoteV6).unwrap_or([0; 4]),
                )
            } else {
                (v4(event, Field::EventLocalV4), v4(event, Field::EventRemoteV4))
            };
            (&raw mut (*record).local_addr).cast::<[u32; 4]>().write(local);
            (&raw mut (*record).remote_addr).cast::<[u32; 4]>().write(remote);
        }
    }
}

#[inline(always)]
unsafe fn v4(event: *const u8, field: Field) -> [u32; 4] {
    // SAFETY: the caller's record.
    [unsafe { Probed::field::<u32>(event, field).unwrap_or(0) }, 0, 0, 0]
}
