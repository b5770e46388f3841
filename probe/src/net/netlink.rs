//! Asking the kernel over netlink, and listening to it: what `link` and `sock_diag` have in common.

use std::{io, os::fd::AsFd, time::Instant};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};
use nix::{libc, poll::PollFlags};

use super::ready::wait_ready;

/// Room for the biggest piece of a dump. The kernel makes its pieces as large as the receiver's buffer has
/// been, up to this (`netlink_dump`), so it also decides how many system calls a dump takes.
const BLOCK_SIZE: usize = 32 * 1024;

/// Asks the kernel to do something and waits until it has.
///
/// # Errors
/// What the kernel answered, or what the socket returned.
pub(super) fn change<M: NetlinkSerializable + NetlinkDeserializable>(
    protocol: isize,
    message: M,
) -> io::Result<()> {
    Channel::open(protocol)?.ask(NLM_F_ACK, message, |_: M| {})
}

/// A socket for questions to the kernel, which answers for the namespace where it was opened, whichever
/// thread asks.
pub(super) struct Channel {
    socket: Socket,
    /// The number of the last request, by which its answers are told from those to an earlier one that was
    /// given up.
    sequence: u32,
    buffer: Vec<u8>,
}

impl Channel {
    /// Opens one in the calling thread's namespace.
    ///
    /// # Errors
    /// What the socket returned.
    pub(super) fn open(protocol: isize) -> io::Result<Self> {
        Ok(Self { socket: Socket::new(protocol)?, sequence: 0, buffer: Vec::with_capacity(BLOCK_SIZE) })
    }

    /// Asks for everything of a kind.
    ///
    /// # Errors
    /// What the kernel answered, or what the socket returned.
    pub(super) fn dump<Q: NetlinkSerializable, A: NetlinkDeserializable>(
        &mut self,
        question: Q,
        each: impl FnMut(A),
    ) -> io::Result<()> {
        self.ask(NLM_F_DUMP, question, each)
    }

    /// Asks for one thing.
    ///
    /// # Errors
    /// What the kernel answered, or what the socket returned.
    pub(super) fn get<Q: NetlinkSerializable, A: NetlinkDeserializable>(
        &mut self,
        question: Q,
    ) -> io::Result<Option<A>> {
        let mut answer = None;
        // The acknowledgement comes after the answer, and says that there is no more.
        self.ask(NLM_F_ACK, question, |given| answer = Some(given))?;
        Ok(answer)
    }

    /// Sends one message and takes the answers up to the last one. The kernel answers while it takes the
    /// message, so no receive waits for anything but the CPU.
    fn ask<Q: NetlinkSerializable, A: NetlinkDeserializable>(
        &mut self,
        flags: u16,
        question: Q,
        mut each: impl FnMut(A),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(question));
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
                    // What ended a dump early stands in its last message.
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
        let mut buffer = Vec::with_capacity(BLOCK_SIZE);
        while wait_ready(self.0.as_fd(), PollFlags::POLLIN, deadline)? {
            let mut heard = false;
            receive(&self.0, &mut buffer, |message: NetlinkMessage<M>| {
                heard |=
                    matches!(message.payload, NetlinkPayload::InnerMessage(message) if awaited(&message));
            })?;
            if heard {
                return Ok(());
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// Takes the messages of the next datagram.
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
