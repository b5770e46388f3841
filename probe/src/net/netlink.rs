//! Netlink requests and multicast groups, for `link`, `sock_diag` and `destroy`.

use std::{io, os::fd::AsFd, time::Instant};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};
use nix::{libc, poll::PollFlags};

use super::ready::wait_ready;

/// The receive buffer. The kernel fills the datagrams of a dump up to the size of the receiver's buffer, at most this
/// (`netlink_dump`), so it decides how many system calls a dump takes.
const BUFFER_SIZE: usize = 32 * 1024;

/// Sends a request that changes something and waits for its acknowledgement.
///
/// # Errors
/// The kernel's answer, or an error of the socket.
pub(super) fn change<M: NetlinkSerializable + NetlinkDeserializable>(
    protocol: isize,
    message: M,
) -> io::Result<()> {
    Channel::open(protocol)?.request(NLM_F_ACK, message, |_: M| {})
}

/// A netlink socket for requests. The kernel answers for the namespace where the socket was opened, whichever thread
/// sends the request.
pub(super) struct Channel {
    socket: Socket,
    /// The sequence number of the last request, which distinguishes its answers from those to an abandoned one.
    sequence: u32,
    buffer: Vec<u8>,
}

impl Channel {
    /// Opens a socket in the calling thread's namespace.
    ///
    /// # Errors
    /// socket(2)'s.
    pub(super) fn open(protocol: isize) -> io::Result<Self> {
        Ok(Self { socket: Socket::new(protocol)?, sequence: 0, buffer: Vec::with_capacity(BUFFER_SIZE) })
    }

    /// Sends a dump request and calls `each` with every answer.
    ///
    /// # Errors
    /// The kernel's answer, or an error of the socket.
    pub(super) fn dump<Q: NetlinkSerializable, A: NetlinkDeserializable>(
        &mut self,
        query: Q,
        each: impl FnMut(A),
    ) -> io::Result<()> {
        self.request(NLM_F_DUMP, query, each)
    }

    /// Sends a request with at most one answer.
    ///
    /// # Errors
    /// The kernel's answer, or an error of the socket.
    pub(super) fn get<Q: NetlinkSerializable, A: NetlinkDeserializable>(
        &mut self,
        query: Q,
    ) -> io::Result<Option<A>> {
        let mut answer = None;
        // The acknowledgement follows the answer and ends the request.
        self.request(NLM_F_ACK, query, |received| answer = Some(received))?;
        Ok(answer)
    }

    /// Sends one message and reads all answers. The kernel answers within send(2), so that no recv(2) blocks.
    fn request<Q: NetlinkSerializable, A: NetlinkDeserializable>(
        &mut self,
        flags: u16,
        query: Q,
        mut each: impl FnMut(A),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(query));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;

        let mut end = None;
        while end.is_none() {
            receive(&self.socket, &mut self.buffer, |message: NetlinkMessage<A>| {
                if message.header.sequence_number != self.sequence {
                    return;
                }
                match message.payload {
                    NetlinkPayload::InnerMessage(answer) => each(answer),
                    NetlinkPayload::Error(error) if error.code.is_some() => end = Some(Err(error.to_io())),
                    // The last message of a dump has the error that ended it early.
                    NetlinkPayload::Done(done) if done.code < 0 => {
                        end = Some(Err(io::Error::from_raw_os_error(-done.code)));
                    }
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => end = Some(Ok(())),
                    _ => {}
                }
            })?;
        }
        end.unwrap_or(Ok(()))
    }
}

/// A subscription to a netlink multicast group.
pub(super) struct Subscription(Socket);

impl Subscription {
    /// Joins a group.
    ///
    /// # Errors
    /// Those of the socket.
    pub(super) fn of(protocol: isize, group: u32) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.add_membership(group)?;
        Ok(Self(socket))
    }

    /// Waits for a notification that `is_match` accepts, sent since the subscription was made.
    ///
    /// # Errors
    /// TimedOut after the deadline, or an error of the socket.
    pub(super) fn wait<M: NetlinkDeserializable>(
        &self,
        deadline: Instant,
        mut is_match: impl FnMut(&M) -> bool,
    ) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(BUFFER_SIZE);
        while wait_ready(self.0.as_fd(), PollFlags::POLLIN, deadline)? {
            let mut found = false;
            receive(&self.0, &mut buffer, |message: NetlinkMessage<M>| {
                found |=
                    matches!(message.payload, NetlinkPayload::InnerMessage(message) if is_match(&message));
            })?;
            if found {
                return Ok(());
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// Reads the next datagram and calls `each` with its messages.
fn receive<M: NetlinkDeserializable>(
    socket: &Socket,
    buffer: &mut Vec<u8>,
    mut each: impl FnMut(NetlinkMessage<M>),
) -> io::Result<()> {
    buffer.clear();
    let length = socket.recv(buffer, libc::MSG_PEEK | libc::MSG_TRUNC)?;
    buffer.clear();
    buffer.reserve(length);
    socket.recv(buffer, 0)?;
    let mut rest = buffer.as_slice();
    while !rest.is_empty() {
        let message = NetlinkMessage::<M>::deserialize(rest).map_err(io::Error::other)?;
        // Messages in one datagram start at multiples of four (NLMSG_ALIGN).
        let length = (message.header.length as usize).next_multiple_of(4);
        rest = rest.get(length..).unwrap_or_default();
        each(message);
    }
    Ok(())
}
