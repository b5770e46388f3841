//! Asking the kernel over netlink, and listening to it: what `link` and `sock_diag` have in common.

use std::{io, os::fd::AsFd, time::Instant};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};
use nix::poll::PollFlags;

use super::ready::wait_ready;

/// Asks the kernel to do something and waits until it has.
///
/// # Errors
/// What the kernel answered, or what the socket returned.
pub(super) fn change<M>(protocol: isize, message: M) -> io::Result<()>
where
    M: NetlinkSerializable + NetlinkDeserializable + Into<NetlinkPayload<M>>,
{
    exchange(protocol, NLM_F_ACK, message).map(drop)
}

/// Asks the kernel for everything it has of a kind.
///
/// # Errors
/// What the kernel answered, or what the socket returned.
pub(super) fn dump<M>(protocol: isize, message: M) -> io::Result<Vec<M>>
where
    M: NetlinkSerializable + NetlinkDeserializable + Into<NetlinkPayload<M>>,
{
    exchange(protocol, NLM_F_DUMP, message)
}

/// Sends one message and collects the answers up to the last one. The kernel answers while it takes
/// the message, so no receive waits for anything but the CPU.
fn exchange<M>(protocol: isize, flags: u16, message: M) -> io::Result<Vec<M>>
where
    M: NetlinkSerializable + NetlinkDeserializable + Into<NetlinkPayload<M>>,
{
    let socket = Socket::new(protocol)?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut request = NetlinkMessage::new(header, message.into());
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    let kernel = SocketAddr::new(0, 0);
    socket.send_to(&bytes, &kernel, 0)?;

    let mut answers = Vec::new();
    loop {
        for payload in receive(&socket)? {
            match payload {
                NetlinkPayload::InnerMessage(message) => answers.push(message),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(answers),
                _ => {}
            }
        }
    }
}

/// An ear for what the kernel announces to a multicast group.
pub(super) struct Watch(Socket);

impl Watch {
    /// Begins to listen to one group.
    ///
    /// # Errors
    /// What the socket returned.
    pub(super) fn of(protocol: isize, group: u32) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.add_membership(group)?;
        Ok(Self(socket))
    }

    /// Waits until the kernel has announced, since the watch began, what `awaited` asks for.
    ///
    /// # Errors
    /// It has not by the deadline, or what the socket returned.
    pub(super) fn wait<M: NetlinkDeserializable>(
        &self,
        deadline: Instant,
        mut awaited: impl FnMut(&M) -> bool,
    ) -> io::Result<()> {
        while wait_ready(self.0.as_fd(), PollFlags::POLLIN, deadline)? {
            let announced =
                |payload| matches!(payload, NetlinkPayload::InnerMessage(message) if awaited(&message));
            if receive(&self.0)?.into_iter().any(announced) {
                return Ok(());
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// The messages of the next datagram.
fn receive<M: NetlinkDeserializable>(socket: &Socket) -> io::Result<Vec<NetlinkPayload<M>>> {
    let (datagram, _) = socket.recv_from_full()?;
    let mut rest = datagram.as_slice();
    let mut payloads = Vec::new();
    while !rest.is_empty() {
        let message = NetlinkMessage::<M>::deserialize(rest).map_err(io::Error::other)?;
        // Messages in one datagram start at multiples of four (NLMSG_ALIGN).
        let length = (message.header.length as usize).next_multiple_of(4);
        rest = rest.get(length..).unwrap_or_default();
        payloads.push(message.payload);
    }
    Ok(payloads)
}
