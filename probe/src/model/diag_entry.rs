//! Sockets as sock_diag lists them: pre-existing sockets, holders of a port, and mini-sockets left after CLOSE.

use std::{sync::Arc, time::Duration};

use super::{BindOptions, Mono, Owner, SocketId, SocketIdentity, State};

/// A socket that sock_diag lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagEntry {
    /// Its cookie; a TIME_WAIT mini-socket has that of the socket that it replaced.
    pub cookie: u64,
    /// Namespace, protocol, family and endpoints.
    pub identity: SocketIdentity<u32>,
    /// Its state, TIME_WAIT and SYN_RECV included.
    pub state: State,
    /// The process that has a descriptor of it, from /proc ([`Known::Inferred`](super::Known::Inferred)); the tracker
    /// replaces it where it knows better. Many sockets share one.
    pub owner: Arc<Owner>,
    /// For a TIME_WAIT or FIN_WAIT2 mini-socket: the time until it expires (`idiag_expires`).
    pub expires: Option<Duration>,
    /// The inode number of its descriptors, as in /proc/PID/fd. `None` where it has no descriptor: a connection that was not
    /// accepted yet, or that its owner has closed.
    pub inode: Option<u32>,
    /// The options that decide whether another socket can bind its port, as far as sock_diag reports them.
    pub options: BindOptions,
    /// The accept queue of a listener.
    pub queue: Option<AcceptQueue>,
    /// The process that opened it, where another has its descriptor now. The tracker adds it.
    pub opener: Option<Opener>,
    /// How it got its local port. The tracker adds it.
    pub port_origin: Option<PortOrigin>,
}

/// The process that opened a socket of which another process has a descriptor, by fork(2), exec(2) or a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opener {
    /// The process.
    pub owner: Arc<Owner>,
    /// What has become of it; `None` where that was not queried.
    pub fate: Option<OpenerFate>,
}

/// What has become of the process that opened a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenerFate {
    /// It has exited.
    Exited,
    /// It has closed its descriptor.
    Closed,
    /// It has a descriptor, too.
    Holds,
}

impl OpenerFate {
    /// The name in recordings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exited => "exited",
            Self::Closed => "closed",
            Self::Holds => "holds",
        }
    }
}

/// How a socket got its local port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortOrigin {
    /// The kernel picked it in connect(2).
    Picked,
    /// It was bound before connect(2).
    Bound,
    /// It is the port of the listener that accepted the connection.
    Accepted,
}

/// The connections of a listener that wait for accept(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptQueue {
    /// Established connections that were not accepted yet (`sk_ack_backlog`).
    pub waiting: u32,
    /// The backlog (`sk_max_ack_backlog`): while more wait, the kernel drops SYNs.
    pub limit: u32,
}

impl DiagEntry {
    /// A full socket of which nothing else is known.
    #[must_use]
    pub fn new(cookie: u64, identity: SocketIdentity<u32>, state: State, owner: Arc<Owner>) -> Self {
        Self {
            cookie,
            identity,
            state,
            owner,
            expires: None,
            inode: None,
            options: BindOptions::default(),
            queue: None,
            opener: None,
            port_origin: None,
        }
    }

    /// Whether it is a full socket, whose transitions are reported. A request socket (SYN_RECV) and a mini-socket
    /// (TIME_WAIT, or FIN_WAIT2 left by an orphan) are not. The rare full socket in SYN_RECV looks like a request socket,
    /// and counts as one.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self.state {
            State::TimeWait | State::SynRecv | State::NewSynRecv | State::Close => false,
            State::FinWait2 => self.expires.is_none(),
            _ => true,
        }
    }

    /// Whether it is a mini-socket: TIME_WAIT, or FIN_WAIT2 left by an orphan.
    #[must_use]
    pub fn is_mini(&self) -> bool {
        self.state == State::TimeWait || (self.state == State::FinWait2 && !self.is_full())
    }

    /// Whether it is connected to itself. In SYN_SENT that is not certain yet: the connect may still fail.
    #[must_use]
    pub fn is_self_connected(&self) -> bool {
        self.identity.endpoints.is_self() && !matches!(self.state, State::SynSent | State::Listen)
    }
}

/// What sock_diag lists of a connection after CLOSE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeWaitEntry {
    /// When sock_diag was queried.
    pub at: Mono,
    /// The connection.
    pub socket: SocketId,
    /// Namespace, protocol, family and endpoints of the connection.
    pub identity: SocketIdentity,
    /// TIME_WAIT, or FIN_WAIT2 for the mini-socket of an orphan; `None` where nothing was left.
    pub state: Option<State>,
    /// When the mini-socket expires.
    pub until: Option<Mono>,
    /// The connection's owner.
    pub owner: Owner,
}
