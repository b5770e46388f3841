//! Paths that many entries share.

use crate::model::State::{
    self, Close, CloseWait, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent,
};

/// The path of a socket with this label.
type LabelledPath = (&'static str, &'static [State]);

/// A listener that stays open, labelled `listener`.
pub(super) const LISTENER: LabelledPath = ("listener", &[Close, Listen]);

/// A client whose active open succeeds.
pub(super) const ACTIVE_OPEN: &[State] = &[Close, SynSent, Established];

/// A child whose passive open succeeds.
pub(super) const PASSIVE_OPEN: &[State] = &[Listen, SynRecv, Established];

/// A client whose connect fails.
pub(super) const FAILED_OPEN: &[State] = &[Close, SynSent, Close];

/// A client that closes first: its connection ends in TIME_WAIT.
pub(super) const CLIENT_CLOSES_FIRST: &[State] = &[Close, SynSent, Established, FinWait1, FinWait2, Close];

/// A child that closes after its peer.
pub(super) const SERVER_CLOSES_SECOND: &[State] = &[Listen, SynRecv, Established, CloseWait, LastAck, Close];
