//! The sock_diag messages for TCP and MPTCP, laid out as in include/uapi/linux/inet_diag.h.
//!
//! The crate netlink-packet-sock-diag does not suffice: it drops the remaining time of a TIME_WAIT and supports neither
//! bound-only sockets nor protocol numbers above 255.

use std::net::{IpAddr, Ipv6Addr};

use netlink_packet_core::{
    DecodeError, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable, NlasIterator,
};
use nix::libc;
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    byteorder::{BigEndian, NativeEndian, U16, U32},
};

use crate::model::{AcceptQueue, Endpoint, Endpoints, Family, Protocol, State};

/// The message type of requests and answers (include/uapi/linux/sock_diag.h).
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// The request attribute with the protocol number, since the header's field is too narrow for MPTCP's.
const INET_DIAG_REQ_PROTOCOL: u16 = 3;
/// The answer attribute with `struct tcp_info`, requested by a bit.
const INET_DIAG_INFO: u16 = 2;
/// The answer attribute with IPV6_V6ONLY of an IPv6 socket in LISTEN or CLOSE.
const INET_DIAG_SKV6ONLY: u16 = 11;
/// The answer attribute with the id of the cgroup that the socket was created in, since Linux 5.8.
const INET_DIAG_CGROUP_ID: u16 = 21;
/// Matches any cookie (`INET_DIAG_NOCOOKIE`, twice).
const NO_COOKIE: [u8; 8] = [0xff; 8];
/// `idiag_timer` of a mini-socket (`inet_twsk_diag_fill`).
const TIMER_OF_MINI_SOCKET: u8 = 3;
/// The pseudo-state of sockets that are bound and in no other table, since Linux 6.8.
const BOUND_INACTIVE: u8 = 13;
/// The offset of `tcpi_segs_in` in `struct tcp_info` (include/uapi/linux/tcp.h), since Linux 4.2.
const SEGS_IN: usize = 140;

/// `struct inet_diag_sockid`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Id {
    local_port: U16<BigEndian>,
    remote_port: U16<BigEndian>,
    local: [u8; 16],
    remote: [u8; 16],
    interface: U32<NativeEndian>,
    cookie: [u8; 8],
}

/// `struct inet_diag_req_v2`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RequestHeader {
    family: u8,
    protocol: u8,
    extensions: u8,
    pad: u8,
    states: U32<NativeEndian>,
    id: Id,
}

/// `struct nlattr` with a 32-bit number.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct NumberAttribute {
    length: U16<NativeEndian>,
    kind: U16<NativeEndian>,
    value: U32<NativeEndian>,
}

/// `struct inet_diag_msg`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct AnswerHeader {
    family: u8,
    state: u8,
    timer: u8,
    retransmits: u8,
    id: Id,
    expires_ms: U32<NativeEndian>,
    receive_queue: U32<NativeEndian>,
    send_queue: U32<NativeEndian>,
    uid: U32<NativeEndian>,
    inode: U32<NativeEndian>,
}

/// A query for sockets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    header: RequestHeader,
    protocol: NumberAttribute,
}

impl Request {
    /// All sockets of a protocol and family, with [`Answer::segs_in`] if requested.
    pub(super) fn all(protocol: Protocol, family: Family, segs_in: bool) -> Self {
        let number = match protocol {
            Protocol::Tcp => libc::IPPROTO_TCP,
            Protocol::Mptcp => libc::IPPROTO_MPTCP,
        };
        let number = u32::try_from(number).expect("protocol numbers are positive");
        let header = RequestHeader {
            family: family_number(family),
            // 0 for a number that does not fit: no kernel has sock_diag for protocol 0, so one that does not know the
            // attribute returns an error instead of listing another protocol.
            protocol: u8::try_from(number).unwrap_or(0),
            extensions: if segs_in { 1 << (INET_DIAG_INFO - 1) } else { 0 },
            pad: 0,
            states: U32::new(u32::MAX),
            id: Id::new(Endpoints { local: unspecified(family), remote: unspecified(family) }),
        };
        let length = U16::new(u16::try_from(size_of::<NumberAttribute>()).expect("eight"));
        let kind = U16::new(INET_DIAG_REQ_PROTOCOL);
        Self { header, protocol: NumberAttribute { length, kind, value: U32::new(number) } }
    }

    /// Restricts the query to this local port. (The kernel may return more: `inet_diag_dump_icsk` does not compare the
    /// port of bound-only sockets.)
    pub(super) fn with_local_port(mut self, port: u16) -> Self {
        self.header.id.local_port = U16::new(port);
        self
    }

    /// The TCP socket with these endpoints, or else the listener that a segment to them would reach.
    pub(super) fn one(family: Family, endpoints: Endpoints) -> Self {
        let mut request = Self::all(Protocol::Tcp, family, false);
        request.header.id = Id::new(endpoints);
        request
    }
}

impl NetlinkSerializable for Request {
    fn message_type(&self) -> u16 {
        SOCK_DIAG_BY_FAMILY
    }

    fn buffer_len(&self) -> usize {
        size_of::<RequestHeader>() + size_of::<NumberAttribute>()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (header, attribute) = buffer.split_at_mut(size_of::<RequestHeader>());
        header.copy_from_slice(self.header.as_bytes());
        attribute.copy_from_slice(self.protocol.as_bytes());
    }
}

/// A socket, as the kernel describes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    header: AnswerHeader,
    /// `tcpi_segs_in`, if it was requested and this is a full socket.
    pub(super) segs_in: Option<u32>,
    /// The id of the cgroup that the socket was created in; a mini-socket has none.
    pub(super) cgroup: Option<u64>,
    /// IPV6_V6ONLY, of an IPv6 socket in LISTEN or CLOSE.
    pub(super) v6_only: Option<bool>,
}

impl Answer {
    /// The address family.
    pub(super) fn family(&self) -> Family {
        if self.header.family == family_number(Family::Ipv4) { Family::Ipv4 } else { Family::Ipv6 }
    }

    /// The local and the remote endpoint.
    pub(super) fn endpoints(&self) -> Endpoints {
        let id = &self.header.id;
        let endpoint = |bytes, port: U16<BigEndian>| Endpoint::new(address(self.family(), bytes), port.get());
        Endpoints { local: endpoint(id.local, id.local_port), remote: endpoint(id.remote, id.remote_port) }
    }

    /// The state; `None` for an unknown one.
    pub(super) fn state(&self) -> Option<State> {
        match self.header.state {
            BOUND_INACTIVE => Some(State::Close),
            number => State::from_kernel(number),
        }
    }

    /// The remaining time of a mini-socket in milliseconds; `None` for a full socket.
    pub(super) fn expires_ms(&self) -> Option<u32> {
        (self.header.timer == TIMER_OF_MINI_SOCKET).then(|| self.header.expires_ms.get())
    }

    /// The socket cookie (SO_COOKIE).
    pub(super) fn cookie(&self) -> u64 {
        u64::from_ne_bytes(self.header.id.cookie)
    }

    /// The uid of the socket's creator.
    pub(super) fn uid(&self) -> u32 {
        self.header.uid.get()
    }

    /// The index of the device that it is bound to; 0 for none.
    pub(super) fn device(&self) -> u32 {
        self.header.id.interface.get()
    }

    /// The accept queue of a listener (`tcp_diag_get_info`).
    pub(super) fn queue(&self) -> Option<AcceptQueue> {
        let (waiting, limit) = (self.header.receive_queue.get(), self.header.send_queue.get());
        (self.state() == Some(State::Listen)).then_some(AcceptQueue { waiting, limit })
    }

    /// The inode number on sockfs; 0 if no process holds the socket.
    pub(super) fn inode(&self) -> u32 {
        self.header.inode.get()
    }
}

impl NetlinkDeserializable for Answer {
    type Error = DecodeError;

    fn deserialize(_header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let (header, attributes) = AnswerHeader::read_from_prefix(payload)
            .map_err(|_| DecodeError::buffer_too_small(payload.len(), size_of::<AnswerHeader>()))?;
        let mut answer = Self { header, segs_in: None, cgroup: None, v6_only: None };
        for attribute in NlasIterator::new(attributes) {
            let attribute = attribute?;
            let value = attribute.value();
            match attribute.kind() {
                INET_DIAG_INFO => {
                    let bytes = value.get(SEGS_IN..).and_then(<[u8]>::first_chunk);
                    answer.segs_in = bytes.map(|bytes| u32::from_ne_bytes(*bytes));
                }
                INET_DIAG_CGROUP_ID => {
                    answer.cgroup = value.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
                }
                INET_DIAG_SKV6ONLY => answer.v6_only = value.first().map(|value| *value != 0),
                _ => {}
            }
        }
        Ok(answer)
    }
}

impl Id {
    fn new(endpoints: Endpoints) -> Self {
        Self {
            local_port: U16::new(endpoints.local.port_or_zero()),
            remote_port: U16::new(endpoints.remote.port_or_zero()),
            local: bytes(endpoints.local.addr),
            remote: bytes(endpoints.remote.addr),
            interface: U32::ZERO,
            cookie: NO_COOKIE,
        }
    }
}

/// `AF_INET` or `AF_INET6`.
fn family_number(family: Family) -> u8 {
    let number = match family {
        Family::Ipv4 => libc::AF_INET,
        Family::Ipv6 => libc::AF_INET6,
    };
    u8::try_from(number).expect("both are small")
}

fn unspecified(family: Family) -> Endpoint {
    Endpoint::new(address(family, [0; 16]), 0)
}

/// An address from the kernel's four words, of which IPv4 uses the first.
fn address(family: Family, bytes: [u8; 16]) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]),
        Family::Ipv6 => Ipv6Addr::from(bytes).into(),
    }
}

fn bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let mut words = [0; 16];
            words[..4].copy_from_slice(&address.octets());
            words
        }
        IpAddr::V6(address) => address.octets(),
    }
}

#[cfg(test)]
mod tests {
    use netlink_sys::protocols::NETLINK_SOCK_DIAG;

    use super::*;
    use crate::net::netlink::Channel;

    #[test]
    fn layouts_have_the_kernels_sizes() {
        assert_eq!(size_of::<Id>(), 48);
        assert_eq!(size_of::<RequestHeader>(), 56);
        assert_eq!(size_of::<AnswerHeader>(), 72);
    }

    #[test]
    fn a_request_has_endpoints_and_protocol() {
        let endpoints = Endpoints {
            local: Endpoint::new([127, 0, 0, 1].into(), 1314),
            remote: Endpoint::new([127, 0, 0, 2].into(), 80),
        };
        let request = Request::one(Family::Ipv4, endpoints);
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        assert_eq!(bytes[..2], [2, 6]);
        assert_eq!(bytes[8..12], [0x05, 0x22, 0, 80]);
        assert_eq!(bytes[12..16], [127, 0, 0, 1]);
        assert_eq!(bytes[28..32], [127, 0, 0, 2]);
        assert_eq!(bytes[48..56], NO_COOKIE);

        let mptcp = Request::all(Protocol::Mptcp, Family::Ipv6, false);
        let mut bytes = vec![0; mptcp.buffer_len()];
        mptcp.serialize(&mut bytes);
        assert_eq!(bytes[..3], [10, 0, 0]);
        assert_eq!(bytes[60..], 262_u32.to_ne_bytes());
    }

    #[test]
    fn a_protocol_that_the_kernel_does_not_list_is_an_error() {
        let mut request = Request::all(Protocol::Mptcp, Family::Ipv4, false);
        request.protocol.value = U32::new(4711);
        let mut channel = Channel::open(NETLINK_SOCK_DIAG).unwrap();
        let error = channel.dump(request, |answer: Answer| panic!("{answer:?}")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        // The next query gets its own answers.
        channel.dump(Request::all(Protocol::Tcp, Family::Ipv4, false), |_: Answer| {}).unwrap();
    }

    #[test]
    fn a_truncated_answer_is_an_error() {
        let header = NetlinkHeader::default();
        assert!(Answer::deserialize(&header, &[0; 71]).is_err());
        let answer = Answer::deserialize(&header, &[0; 72]).unwrap();
        assert_eq!((answer.state(), answer.segs_in, answer.cgroup), (None, None, None));
    }
}
