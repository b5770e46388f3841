//! Resets: the RSTs that this host sends, and the mark of one that it received.

use aya_ebpf::{
    helpers::generated::bpf_get_socket_cookie, macros::btf_tracepoint, programs::BtfTracePointContext,
};
use probe_ebpf::{Field, KIND_RESET, ResetRecord, UNKNOWN_U32};

use crate::{
    config,
    filter::Decision,
    kernel_memory::{Access, Probed},
    offsets,
    protocol::{AF_INET6, Address, is_tcp},
    record::header,
    ring::{Writers, count_lost, emit},
    socket_storage,
    tcp_state::LISTEN,
    transition::netns,
};

/// `struct iphdr`'s `saddr`.
const IPV4_SOURCE: usize = 12;
/// `struct ipv6hdr`'s `saddr`.
const IPV6_SOURCE: usize = 8;

const TCP_TIME_WAIT: u8 = 6;
const TCP_NEW_SYN_RECV: u8 = 12;

/// `tcp_receive_reset(struct sock *sk)`: the transition into CLOSE follows.
///
/// The kernel closes one other connection in the same way (`tcp_reset`): in FIN_WAIT1 or FIN_WAIT2, when data arrives
/// after close(2), which no process can read any more. In that case this host sends an RST, with the reason
/// `TCP_ABORT_ON_DATA`, right after the transition.
#[btf_tracepoint(function = "tcp_receive_reset")]
pub fn reset_received(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the tracepoint's own socket.
    let state = unsafe {
        socket_storage::find(ctx.arg(0), config::tracks_sockets())
            .or_else(|| socket_storage::in_storage_or_new(ctx.arg(0)))
    };
    match state {
        Some(state) => state.mark_reset(),
        // The transition will look as if no RST had arrived.
        None => count_lost(),
    }
    0
}

/// `tcp_send_reset(const struct sock *sk, const struct sk_buff *skb)`, and since Linux 6.10
/// `const enum sk_rst_reason reason`.
#[btf_tracepoint(function = "tcp_send_reset")]
pub fn reset_sent(ctx: BtfTracePointContext) -> i32 {
    let _ = report(&ctx);
    0
}

/// Reports the resets of full sockets only. Since Linux 6.10 the tracepoint also fires for a segment without a socket, or
/// with a TIME_WAIT or request mini-socket.
#[inline(always)]
fn report(ctx: &BtfTracePointContext) -> Option<()> {
    let sk: *const u8 = ctx.arg(0);
    if sk.is_null() {
        return None;
    }
    // Up to Linux 6.12 the verifier assumes that the socket is never null, and drops the test above. So there are no
    // plain loads here: they would dereference a null pointer in the kernel.
    // SAFETY: a read at an address that is not mapped fails; here and below.
    let state = unsafe { Probed::field::<u8>(sk, Field::State)? };
    if state == TCP_TIME_WAIT || state == TCP_NEW_SYN_RECV {
        return None;
    }
    // SAFETY: a full socket, as its state shows; mini-sockets lack the field.
    let protocol = unsafe { Probed::field::<u16>(sk, Field::Protocol)? };
    if !is_tcp(protocol) {
        return None;
    }
    // SAFETY: a full socket.
    let is_selected = unsafe { socket_storage::find_released(sk) }
        .is_none_or(|state| state.decision() != Decision::NoMatch);
    // The record of a whole connection says how it ended.
    if config::summaries() || !is_selected {
        return None;
    }
    emit(Writers::Several, |record: *mut ResetRecord| unsafe {
        // SAFETY: a reserved record, of which every field is written.
        (&raw mut (*record).header).write(header(KIND_RESET));
        (*record).cookie = bpf_get_socket_cookie(sk.cast_mut().cast());
        (*record).skaddr = sk as u64;
        (*record).netns = netns::<Probed>(sk).unwrap_or(0);
        (*record).reason =
            if offsets::offset(Field::ResetReason).is_some() { ctx.arg(2) } else { UNKNOWN_U32 };
        (*record).protocol = protocol;
        // A listener has no remote end, but the segment that it answers has.
        let answered = if state == LISTEN { Answered::of(ctx.arg(1)) } else { None };
        let remote_port = match &answered {
            Some(answered) => answered.source_port,
            None => Probed::field::<u16>(sk, Field::RemotePort),
        };
        (*record).local_port = Probed::field::<u16>(sk, Field::LocalPort).map_or(0, u16::from_be);
        (*record).remote_port = remote_port.map_or(0, u16::from_be);
        (*record).state = state.into();
        (*record).padding = 0;
        let family = Probed::field::<u16>(sk, Field::Family).unwrap_or(0);
        (*record).family = family;
        let (local, remote) = if family == AF_INET6 {
            (
                Probed::field(sk, Field::LocalV6).unwrap_or([0; 4]),
                Probed::field(sk, Field::RemoteV6).unwrap_or([0; 4]),
            )
        } else {
            (v4(sk, Field::LocalV4), v4(sk, Field::RemoteV4))
        };
        let remote = match answered {
            Some(answered) => answered.source(family),
            None => remote,
        };
        (&raw mut (*record).local_addr).cast::<Address>().write(local);
        (&raw mut (*record).remote_addr).cast::<Address>().write(remote);
    });
    Some(())
}

/// The segment that an RST answers.
struct Answered {
    /// The IP header.
    network: *const u8,
    /// In network order.
    source_port: Option<u16>,
}

impl Answered {
    /// `None` where this kernel does not show it.
    ///
    /// # Safety
    /// `segment` is null or a received segment.
    #[inline(always)]
    unsafe fn of(segment: *const u8) -> Option<Self> {
        // SAFETY: a read at an address that is not mapped fails; here and below.
        unsafe {
            let head = Probed::field::<*const u8>(segment, Field::BufferHead)?;
            let network = head.wrapping_add(Probed::field::<u16>(segment, Field::NetworkHeader)?.into());
            let tcp = head.wrapping_add(Probed::field::<u16>(segment, Field::TransportHeader)?.into());
            Some(Self { network, source_port: Probed::at(tcp, 0) })
        }
    }

    /// The source address as a socket of this family has it: that of an IPv4 segment is v4-mapped for an IPv6 socket.
    #[inline(always)]
    unsafe fn source(&self, family: u16) -> Address {
        // SAFETY: as above.
        unsafe {
            let version = Probed::at::<u8>(self.network, 0).map_or(0, |first| first >> 4);
            if version == 6 {
                return Probed::at(self.network, IPV6_SOURCE).unwrap_or([0; 4]);
            }
            let source = Probed::at::<u32>(self.network, IPV4_SOURCE).unwrap_or(0);
            if family == AF_INET6 { [0, 0, 0xffff_u32.to_be(), source] } else { [source, 0, 0, 0] }
        }
    }
}

#[inline(always)]
unsafe fn v4(sk: *const u8, field: Field) -> Address {
    // SAFETY: the caller's socket.
    [unsafe { Probed::field::<u32>(sk, field).unwrap_or(0) }, 0, 0, 0]
}
