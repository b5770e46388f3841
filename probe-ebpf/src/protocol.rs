//! Protocols and address families by the kernel's numbers.

pub const IPPROTO_TCP: u16 = 6;
pub const IPPROTO_MPTCP: u16 = 262;

pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;

/// An IPv6 address, or an IPv4 address in the first word, in network order.
pub type Address = [u32; 4];

/// Whether the protocol uses TCP's states: SCTP, on the same tracepoint, does not.
#[inline(always)]
pub fn is_tcp(protocol: u16) -> bool {
    protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP
}

/// Whether sockets of this protocol are a `struct tcp_sock`: MPTCP's own are not.
#[inline(always)]
pub fn has_tcp_sock(protocol: u16) -> bool {
    protocol == IPPROTO_TCP
}
