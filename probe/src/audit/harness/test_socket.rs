//! A socket of the steps, with and without its descriptor.

use std::sync::Arc;

use crate::net::Tcp;

/// A labelled socket. The harness holds a reference too, so that the socket stays open to the end of the
/// steps unless they close it.
#[derive(Clone, Debug)]
pub struct TestSocket {
    pub(super) label: &'static str,
    /// Its index among the harness's sockets.
    pub(super) index: usize,
    /// The socket itself.
    pub tcp: Arc<Tcp>,
}

/// A labelled socket without a descriptor: a closed one, or a child in the accept queue.
#[derive(Clone, Copy, Debug)]
pub struct SocketRef {
    pub(super) label: &'static str,
    /// Its index among the harness's sockets.
    pub(super) index: usize,
}

impl From<&TestSocket> for SocketRef {
    fn from(socket: &TestSocket) -> Self {
        Self { label: socket.label, index: socket.index }
    }
}
