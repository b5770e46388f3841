//! Commands and answers: bytes with an optional descriptor, over a SOCK_SEQPACKET Unix socket.

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd as _, OwnedFd},
};

use rustix::{
    cmsg_space,
    io::{Errno, retry_on_intr},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
        sockopt::{Timeout, set_socket_timeout},
    },
};

use crate::support::PATIENCE;

/// Longer than any command or answer.
const LONGEST: usize = 4096;
/// The first byte of an error answer.
const REFUSED: &str = "refused: ";

/// A command or an answer.
pub struct Message {
    pub bytes: Vec<u8>,
    pub descriptor: Option<OwnedFd>,
}

impl Message {
    /// A message without a descriptor.
    pub fn of(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), descriptor: None }
    }

    /// An error answer.
    pub fn refusal(why: &str) -> Self {
        Self::of(format!("{REFUSED}{why}"))
    }

    /// An answer's text, or its error.
    pub fn text(self) -> Result<String, String> {
        let text = String::from_utf8(self.bytes).unwrap();
        match text.strip_prefix(REFUSED) {
            Some(why) => Err(why.to_owned()),
            None => Ok(text),
        }
    }

    /// Sends the message; the descriptor is open here until the message is dropped.
    pub fn send(&self, socket: &OwnedFd) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = self.descriptor.as_ref().map(|descriptor| [descriptor.as_fd()]);
        if let Some(descriptors) = &descriptors {
            assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)), "there is space for one");
        }
        let flags = SendFlags::NOSIGNAL;
        retry_on_intr(|| sendmsg(socket, &[IoSlice::new(&self.bytes)], &mut control, flags)).map(drop)
    }

    /// Waits for the next message; `None` once the peer has closed.
    #[track_caller]
    pub fn receive(socket: &OwnedFd) -> Option<Self> {
        let mut bytes = vec![0; LONGEST];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received =
            retry_on_intr(|| recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags));
        match received {
            Ok(received) if received.bytes > 0 => bytes.truncate(received.bytes),
            Ok(_) | Err(Errno::CONNRESET) => return None,
            Err(errno) => panic!("no answer: {errno}"),
        }
        let descriptors = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        Some(Self { bytes, descriptor: descriptors.last() })
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::of(bytes)
    }
}

/// A socket pair. The first socket has a receive timeout.
pub fn pair() -> (OwnedFd, OwnedFd) {
    let kind = SocketType::SEQPACKET;
    let (ours, its) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
    set_socket_timeout(&ours, Timeout::Recv, Some(PATIENCE)).unwrap();
    (ours, its)
}
