//! One transition as its tracepoint shows it: what both backends can be asked.

use aya_ebpf::EbpfContext;
use probe_ebpf::{Field, SOCKET_ORPHANED};

use crate::{
    access::Access,
    record::IPPROTO_TCP,
    ring::Writers,
    state::{CLOSE, LISTEN, SYN_SENT},
    stored::Stored,
    task::Task,
};

/// An IPv6 address, or an IPv4 one in the first word, in network order.
pub type Address = [u32; 4];

/// A call of the tracepoint, before anything is written of it. Reading is only done when asked for.
pub trait Edge {
    /// How the socket's memory is read here.
    type Access: Access;
    /// The program's own context.
    type Context: EbpfContext;
    /// Whether a listener's child has its listener's owner with it.
    const INHERITS: bool;
    /// Who else may write into this CPU's ring meanwhile.
    const WRITERS: Writers;

    fn context(&self) -> &Self::Context;
    /// Reads ahead what any but a [plain](crate::state::is_plain) one needs.
    fn load(&mut self);
    /// The `struct sock`.
    fn sk(&self) -> *const u8;
    fn protocol(&self) -> u16;
    fn old_state(&self) -> u8;
    fn new_state(&self) -> u8;
    fn family(&self) -> u16;
    /// `inet_sport` in host order; 0 is unbound or cleared.
    fn sport(&self) -> u16;
    fn remote_port(&self) -> u16;
    /// The task on the CPU, after [`load`](Self::load).
    fn task(&self) -> &Task<Self::Access>;
    /// Local and remote.
    fn addresses(&self, family: u16) -> (Address, Address);
    /// 0 where there is none.
    fn cookie(&self) -> u64;
    /// Null where no `struct tcp_sock` stands behind the socket.
    fn tcp_sock(&self) -> *const u8;

    /// What is remembered of the socket.
    fn stored(&self) -> Option<&'static mut Stored>;
    /// The same, and room for it where nothing is; `None` without memory.
    fn stored_or_new(&self) -> Option<&'static mut Stored>;
    /// Remembers a listener's new child.
    fn remember_child(&self);
    /// The connection has ended: what is remembered of it is needed for this transition alone, and of the socket, if it may
    /// open again, that it had one.
    fn remember_end(&self);

    /// What a transition into CLOSE says of resets: bits of `TransitionRecord::flags`. `error` is its `sk_err`,
    /// `stored` what is remembered of a socket that is followed.
    fn resets(&self, error: u32, stored: Option<&Stored>) -> u8;

    /// A field of `struct sock`; `None` where this kernel does not tell.
    #[inline(always)]
    fn field<T: Copy>(&self, field: Field) -> Option<T> {
        // SAFETY: the tracepoint's own socket.
        unsafe { Self::Access::field(self.sk(), field) }
    }

    /// In host order; 0 is unbound or cleared.
    #[inline(always)]
    fn local_port(&self) -> u16 {
        // While a connection is open both are the same, and `skc_num` is at hand. Before, a socket that connects
        // again still has the last connection's port in `inet_sport`; at the end `skc_num` may be cleared already.
        let is_bound = !matches!(self.new_state(), CLOSE | LISTEN) && self.protocol() == IPPROTO_TCP;
        let bound =
            if is_bound || self.new_state() == SYN_SENT { self.field(Field::BoundPort) } else { None };
        bound.unwrap_or_else(|| self.sport())
    }

    /// Whether no process holds the socket any more; not where this kernel does not tell.
    #[inline(always)]
    fn is_orphaned(&self) -> bool {
        self.field::<u64>(Field::Flags).is_some_and(|flags| flags as u8 & SOCKET_ORPHANED != 0)
    }

    /// How many connections the socket has had at least, where this kernel counts them.
    #[inline(always)]
    fn former_connections(&self) -> u32 {
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
    // SAFETY: `skc_net` is a pointer to a namespace that outlives the socket.
    unsafe {
        let net = A::field::<*const u8>(sk, Field::Net)?;
        A::field::<u32>(net, Field::NetInode)
    }
}
