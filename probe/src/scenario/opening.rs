//! How a connect came out, by what the kernel reported of its socket.

use std::fmt;

use super::{
    Span,
    path::{cut, path, path_text},
};
use crate::model::{CauseKind, Errno, State, Transition};

/// A socket's way from CLOSE to ESTABLISHED, or to where it ended instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opening {
    way: Way,
    states: Vec<State>,
}

#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// The peer's SYN opened it.
    Simultaneous,
    /// A SYN+ACK did.
    Ordinary,
    /// A reset, or an ICMP message that says the same, came instead.
    Refused,
    /// Nothing came, until the kernel or the owner gave up.
    TimedOut,
    /// Another end, by its cause.
    Otherwise(String),
    /// The kernel reported nothing.
    Unseen,
}

impl Opening {
    pub(super) fn of(life: &[&Transition]) -> Self {
        use State::{Close, Established, SynRecv, SynSent};

        let whole = path(life);
        let states = cut(&whole, Span::Opening).to_vec();
        let way = match (states.as_slice(), life.last()) {
            ([Close, SynSent, SynRecv, Established], _) => Way::Simultaneous,
            ([Close, SynSent, Established], _) => Way::Ordinary,
            (_, None) => Way::Unseen,
            (_, Some(last)) => match &last.cause {
                None => Way::Otherwise("of unknown cause".to_owned()),
                Some(cause) => match (cause.kind(), cause.errno()) {
                    (_, Some(Errno::ECONNREFUSED)) => Way::Refused,
                    (CauseKind::Timer, _) | (CauseKind::Call, None) => Way::TimedOut,
                    (_, Some(errno)) => Way::Otherwise(errno.to_string()),
                    (_, None) => Way::Otherwise(cause.detail().to_owned()),
                },
            },
        };
        Self { way, states }
    }

    /// Whether a connection came of it.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.way, Way::Simultaneous | Way::Ordinary)
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match &self.way {
            Way::Simultaneous => "simultaneous here",
            // One end's report cannot tell which: see the asymmetric simultaneous open.
            Way::Ordinary => "ordinary here (the peer listened, or it was simultaneous there)",
            Way::Refused => "refused",
            Way::TimedOut => "timed out",
            Way::Otherwise(cause) => cause,
            Way::Unseen => return f.write_str("no transition"),
        };
        write!(f, "{way}: {}", path_text(&self.states))
    }
}

#[cfg(test)]
mod tests {
    use State::{Close, Established, FinWait1, SynRecv, SynSent};

    use super::*;
    use crate::{
        model::{Cause, CloseCall},
        scenario::testing::{actor, life},
    };

    #[track_caller]
    fn check(states: &[State], cause: impl Into<Option<Cause>>, expected: &str, open: bool) {
        let mut life = life(&actor(1, "10.0.0.1:1314", "10.0.0.2:1314"), 1, states);
        if let Some(last) = life.last_mut() {
            last.cause = cause.into();
        }
        let opening = Opening::of(&life.iter().collect::<Vec<_>>());
        assert_eq!((opening.to_string().as_str(), opening.is_open()), (expected, open));
    }

    #[test]
    fn connections_are_told_apart_by_the_state_between() {
        let syn = || Cause::AckOfSynReceived;
        let simultaneous = "simultaneous here: CLOSE → SYN_SENT → SYN_RECV → ESTABLISHED";
        check(&[Close, SynSent, SynRecv, Established], syn(), simultaneous, true);
        check(&[Close, SynSent, SynRecv, Established, FinWait1, Close], syn(), simultaneous, true);
        let ordinary = "ordinary here (the peer listened, or it was simultaneous there): CLOSE → SYN_SENT → \
                        ESTABLISHED";
        check(&[Close, SynSent, Established, Close], syn(), ordinary, true);
    }

    #[test]
    fn failures_are_told_apart_by_the_cause() {
        let failed = [Close, SynSent, Close];
        let reset = Cause::RstReceived;
        check(&failed, reset(Errno::ECONNREFUSED), "refused: CLOSE → SYN_SENT → CLOSE", false);
        let given_up = Cause::Close(CloseCall::Close);
        check(&failed, given_up, "timed out: CLOSE → SYN_SENT → CLOSE", false);
        let exhausted = Cause::SynTimeout;
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
        check(&failed, None, "of unknown cause: CLOSE → SYN_SENT → CLOSE", false);
        check(&[], Cause::Connect, "no transition", false);
    }
}
