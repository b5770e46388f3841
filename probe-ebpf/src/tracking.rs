//! Transitions whose socket's state can be looked up and stored.

use aya_ebpf::EbpfContext;

use crate::{ring::Writers, socket_state::SocketStatePtr, transition::Transition};

/// A transition with access to the state of its socket.
pub trait TrackedTransition: Transition {
    /// The program's context.
    type Context: EbpfContext;
    /// Whether a child inherits its listener's owner.
    const INHERITS_OWNER: bool;
    /// Who else may write to this CPU's ring during the program's run.
    const WRITERS: Writers;
    /// How many of the innermost frames on the stack are the program's and the tracepoint's own.
    const OWN_FRAMES: u64;

    fn context(&self) -> &Self::Context;
    /// The socket's state, if there is any.
    fn state(&self) -> Option<SocketStatePtr>;
    /// The socket's state, or room for a new one; `None` where there is no memory for it.
    fn state_or_new(&self) -> Option<SocketStatePtr>;
    /// Starts to track a listener's new child.
    fn track_child(&self);
    /// Ends the tracking of a connection. Its state stays readable for the rest of this run. Where the socket may open
    /// again, its generation is kept.
    fn track_close(&self);
    /// What a transition into CLOSE says of received RSTs: bits of `TransitionRecord::flags`. `error` is its `sk_err`,
    /// `state` the state of a tracked socket.
    fn reset_flags(&self, error: u16, state: Option<SocketStatePtr>) -> u8;
}
