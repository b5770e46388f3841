//! One state transition, as its tracepoint shows it. Both backends implement this view.

use probe_ebpf::{Field, SOCKET_ORPHANED};

use crate::{
    kernel_memory::Access,
    protocol::{Address, IPPROTO_MPTCP, IPPROTO_TCP},
    task::Task,
    tcp_state::{CLOSE, SYN_SENT},
};

/// A call of the tracepoint. Each value is read when its method is called.
pub trait Transition {
    /// How the program reads the socket's memory.
    type Access: Access;

    /// Reads ahead what transitions need that are not [segment-driven](crate::tcp_state::is_segment_driven).
    fn load(&mut self);
    /// The `struct sock`.
    fn sk(&self) -> *const u8;
    fn protocol(&self) -> u16;
    fn old_state(&self) -> u8;
    fn new_state(&self) -> u8;
    fn family(&self) -> u16;
    /// `inet_sport` in host order; 0 is unbound or cleared.
    fn inet_sport(&self) -> u16;
    /// In host order; 0 is unconnected or cleared.
    fn remote_port(&self) -> u16;
    /// The current task, after [`load`](Self::load).
    fn task(&self) -> &Task<Self::Access>;
    /// The local and the remote address.
    fn addresses(&self, family: u16) -> (Address, Address);
    /// The socket cookie; 0 where the kernel gives none.
    fn cookie(&self) -> u64;
    /// The `struct tcp_sock`, or null where the socket is none.
    fn tcp_sock(&self) -> *const u8;

    /// A field of `struct sock`, or `None` where this kernel lacks it.
    #[inline(always)]
    fn field<T: Copy>(&self, field: Field) -> Option<T> {
        // SAFETY: the tracepoint's own socket.
        unsafe { Self::Access::field(self.sk(), field) }
    }

    /// The local port in host order; 0 is unbound or cleared.
    #[inline(always)]
    fn local_port(&self) -> u16 {
        // While a connection is open, `skc_num` equals `inet_sport` and is cheaper to read. Before that, a socket that
        // connects or listens again still has the port of its previous connection in `inet_sport`. At the close `skc_num`
        // may be cleared already.
        let is_bound = self.new_state() != CLOSE && self.protocol() == IPPROTO_TCP;
        let bound =
            if is_bound || self.new_state() == SYN_SENT { self.field(Field::BoundPort) } else { None };
        bound.unwrap_or_else(|| self.inet_sport())
    }

    /// Whether no process holds the socket any more. False where this kernel does not show it.
    #[inline(always)]
    fn is_orphaned(&self) -> bool {
        self.field::<u64>(Field::Flags).is_some_and(|flags| flags as u8 & SOCKET_ORPHANED != 0)
    }

    /// The SYN+ACKs that a socket in SYN_RECV has sent, at most 255; 0 where this kernel does not show them. A child begins
    /// with the count of its request's retransmissions (`tcp_create_openreq_child`), and retransmits nothing else before
    /// ESTABLISHED.
    #[inline(always)]
    fn synacks(&self) -> u8 {
        let tcp = self.tcp_sock();
        if tcp.is_null() {
            return 0;
        }
        // SAFETY: the tracepoint's own socket.
        match unsafe { Self::Access::field::<u32>(tcp, Field::TotalRetrans) } {
            Some(retransmitted @ 0..255) => retransmitted as u8 + 1,
            Some(_) => u8::MAX,
            None => 0,
        }
    }

    /// Whether it is an MPTCP socket or one of its subflows. False where this kernel does not show it.
    #[inline(always)]
    fn is_mptcp(&self) -> bool {
        if self.protocol() == IPPROTO_MPTCP {
            return true;
        }
        let tcp = self.tcp_sock();
        // SAFETY: the tracepoint's own socket.
        !tcp.is_null() && unsafe { Self::Access::field::<u8>(tcp, Field::IsMptcp) }.is_some_and(|is| is != 0)
    }

    /// The number of earlier connections of this socket that the kernel counted (`sk_disconnects`); 0 where it does
    /// not count them.
    #[inline(always)]
    fn disconnects(&self) -> u32 {
        self.field(Field::Disconnects).unwrap_or(0)
    }

    /// The inode number of the network namespace.
    #[inline(always)]
    fn netns(&self) -> Option<u32> {
        // SAFETY: the tracepoint's own socket.
        unsafe { netns::<Self::Access>(self.sk()) }
    }
}

/// The inode number of a socket's network namespace.
///
/// # Safety
/// `sk` is a `struct sock` that `A` can read.
#[inline(always)]
pub unsafe fn netns<A: Access>(sk: *const u8) -> Option<u32> {
    // SAFETY: `skc_net` points to a namespace that outlives the socket.
    unsafe {
        let net = A::field::<*const u8>(sk, Field::Net)?;
        A::field::<u32>(net, Field::NetInode)
    }
}
