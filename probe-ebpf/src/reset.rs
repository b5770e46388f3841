//! Resets: those that this host sends, and the mark of one that came.

use aya_ebpf::{
    helpers::generated::bpf_get_socket_cookie, macros::btf_tracepoint, programs::BtfTracePointContext,
};
use probe_ebpf::{Field, KIND_RESET, ResetRecord, UNKNOWN_U32};

use crate::{
    access::{Access, Probed},
    edge::netns,
    fields,
    filter::Verdict,
    kept::{kept, last_kept},
    maps::stored_or_new,
    modes,
    record::{AF_INET6, header, is_tcp},
    report::is_remembered,
    ring::{Writers, count_lost, emit},
};

const TCP_TIME_WAIT: u8 = 6;
const TCP_NEW_SYN_RECV: u8 = 12;

/// `tcp_receive_reset(struct sock *sk)`: the transition into CLOSE comes next.
///
/// The kernel ends one other connection in the same way (`tcp_reset`): in FIN_WAIT1 or FIN_WAIT2, after
/// close(2), when data arrives that nobody can read any more. There the RST is one that is sent, for
/// `TCP_ABORT_ON_DATA`, right after the transition.
#[btf_tracepoint(function = "tcp_receive_reset")]
pub fn reset_received(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the tracepoint's own socket.
    match unsafe { kept(ctx.arg(0), is_remembered()).or_else(|| stored_or_new(ctx.arg(0))) } {
        Some(stored) => stored.mark_reset(),
        // The transition will look as if none had come.
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

/// Reports resets of whole sockets alone. Since Linux 6.10 the tracepoint also fires for a segment that
/// belongs to no socket, or to one of which TIME_WAIT or a SYN is all that there is.
#[inline(always)]
fn report(ctx: &BtfTracePointContext) -> Option<()> {
    let sk: *const u8 = ctx.arg(0);
    if sk.is_null() {
        return None;
    }
    // Up to Linux 6.12 the verifier takes the socket for never null, and drops the test above. So no
    // plain loads here: what follows them would be a null pointer in the kernel.
    // SAFETY: reads at any address fail where there is nothing; here and below.
    let state = unsafe { Probed::field::<u8>(sk, Field::State)? };
    if state == TCP_TIME_WAIT || state == TCP_NEW_SYN_RECV {
        return None;
    }
    // SAFETY: a whole socket, which only now is known to have this.
    let protocol = unsafe { Probed::field::<u16>(sk, Field::Protocol)? };
    if !is_tcp(protocol) {
        return None;
    }
    // SAFETY: a whole socket.
    let is_wanted = unsafe { last_kept(sk) }.is_none_or(|stored| stored.fits != Verdict::Other);
    // Where connections are told in one record, their ends say enough.
    if modes::summaries() || !is_wanted {
        return None;
    }
    emit(Writers::Several, |record: *mut ResetRecord| unsafe {
        // SAFETY: a reserved record, of which every field is written.
        (&raw mut (*record).header).write(header(KIND_RESET));
        (*record).cookie = bpf_get_socket_cookie(sk.cast_mut().cast());
        (*record).skaddr = sk as u64;
        (*record).netns = netns::<Probed>(sk).unwrap_or(0);
        (*record).reason =
            if fields::offset(Field::ResetReason).is_some() { ctx.arg(2) } else { UNKNOWN_U32 };
        (*record).protocol = protocol;
        (*record).local_port = Probed::field::<u16>(sk, Field::LocalPort).map_or(0, u16::from_be);
        (*record).remote_port = Probed::field::<u16>(sk, Field::RemotePort).map_or(0, u16::from_be);
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
        (&raw mut (*record).local_addr).cast::<[u32; 4]>().write(local);
        (&raw mut (*record).remote_addr).cast::<[u32; 4]>().write(remote);
    });
    Some(())
}

#[inline(always)]
unsafe fn v4(sk: *const u8, field: Field) -> [u32; 4] {
    // SAFETY: the caller's socket.
    [unsafe { Probed::field::<u32>(sk, field).unwrap_or(0) }, 0, 0, 0]
}
