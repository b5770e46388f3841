//! How a connect ended, as the kernel reported it.

use std::fmt;

use super::path::{Span, path, path_text};
use crate::model::{CauseKind, Errno, State, Transition};

/// A socket's path from CLOSE to ESTABLISHED, or to the state that it reached instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OpenOutcome {
    kind: OpenKind,
    states: Vec<State>,
}

#[derive(Debug, PartialEq, Eq)]
enum OpenKind {
    /// The peer's SYN arrived in SYN_SENT: a simultaneous open.
    Simultaneous,
    /// The peer's SYN+ACK arrived in SYN_SENT: a three-way handshake.
    Active,
    /// An RST arrived, or an ICMP port unreachable.
    Refused,
    /// No answer arrived before the kernel or the process gave up.
    TimedOut,
    /// Another failure, with its cause.
    Failed(String),
    /// The kernel reported no transition.
    Unreported,
}

impl OpenOutcome {
    pub(super) fn of(history: &[&Transition]) -> Self {
        use State::{Close, Established, SynRecv, SynSent};

        let whole = path(history);
        let states = Span::Opening.of(&whole).to_vec();
        let kind = match (states.as_slice(), history.last()) {
            ([Close, SynSent, SynRecv, Established], _) => OpenKind::Simultaneous,
            ([Close, SynSent, Established], _) => OpenKind::Active,
            (_, None) => OpenKind::Unreported,
            (_, Some(last)) => match &last.cause {
                None => OpenKind::Failed("failed, cause unknown".to_owned()),
                Some(cause) => match (cause.kind(), cause.errno()) {
                    (_, Some(Errno::ECONNREFUSED)) => OpenKind::Refused,
                    (CauseKind::Timer, _) | (CauseKind::Call, None) => OpenKind::TimedOut,
                    (_, Some(errno)) => OpenKind::Failed(errno.to_string()),
                    (_, None) => OpenKind::Failed(cause.detail().to_owned()),
                },
            },
        };
        Self { kind, states }
    }

    /// Whether the socket reached ESTABLISHED.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.kind, OpenKind::Simultaneous | OpenKind::Active)
    }
}

impl fmt::Display for OpenOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            OpenKind::Simultaneous => "simultaneous open",
            // One host's reports cannot tell which: see the asymmetric simultaneous open.
            OpenKind::Active => "active open (the peer listened, or only its side was a simultaneous open)",
            OpenKind::Refused => "refused",
            OpenKind::TimedOut => "timed out",
            OpenKind::Failed(cause) => cause,
            OpenKind::Unreported => return f.write_str("no transition"),
        };
        write!(f, "{kind}: {}", path_text(&self.states))
    }
}

#[cfg(test)]
mod tests {
    use State::{Close, Established, FinWait1, SynRecv, SynSent};

    use super::*;
    use crate::{
        model::{Cause, CloseCall, Timer},
        scenario::testing::{history, socket},
    };

    #[track_caller]
    fn check(states: &[State], cause: impl Into<Option<Cause>>, expected: &str, open: bool) {
        let mut history = history(&socket(1, "10.0.0.1:1314", "10.0.0.2:1314"), 1, states);
        if let Some(last) = history.last_mut() {
            last.cause = cause.into();
        }
        let opening = OpenOutcome::of(&history.iter().collect::<Vec<_>>());
        assert_eq!((opening.to_string().as_str(), opening.is_open()), (expected, open));
    }

    #[test]
    fn the_path_distinguishes_simultaneous_from_active_open() {
        let syn = || Cause::AckOfSynReceived;
        let simultaneous = "simultaneous open: CLOSE → SYN_SENT → SYN_RECV → ESTABLISHED";
        check(&[Close, SynSent, SynRecv, Established], syn(), simultaneous, true);
        check(&[Close, SynSent, SynRecv, Established, FinWait1, Close], syn(), simultaneous, true);
        let active = "active open (the peer listened, or only its side was a simultaneous open): CLOSE → SYN_SENT → \
                      ESTABLISHED";
        check(&[Close, SynSent, Established, Close], syn(), active, true);
    }

    #[test]
    fn the_cause_distinguishes_failures() {
        let failed = [Close, SynSent, Close];
        let reset = Cause::RstReceived;
        check(&failed, reset(Errno::ECONNREFUSED), "refused: CLOSE → SYN_SENT → CLOSE", false);
        let given_up = Cause::Close(CloseCall::Close);
        check(&failed, given_up, "timed out: CLOSE → SYN_SENT → CLOSE", false);
        let exhausted = Cause::Timeout(Timer::Syn, Errno::ETIMEDOUT);
        check(&failed, exhausted, "timed out: CLOSE → SYN_SENT → CLOSE", false);
        let unreachable = Cause::IcmpError(Errno::EHOSTUNREACH);
        check(&failed, unreachable, "EHOSTUNREACH: CLOSE → SYN_SENT → CLOSE", false);
        let late = reset(Errno::ECONNRESET);
        check(
            &[Close, SynSent, SynRecv, Close],
            late,
            "ECONNRESET: CLOSE → SYN_SENT → SYN_RECV → CLOSE",
            false,
        );
        check(&failed, Cause::UnknownTransition, "unknown transition: CLOSE → SYN_SENT → CLOSE", false);
        check(&failed, None, "failed, cause unknown: CLOSE → SYN_SENT → CLOSE", false);
        check(&[], Cause::Connect, "no transition", false);
    }
}
