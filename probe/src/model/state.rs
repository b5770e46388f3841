//! The TCP states, and the transitions that Linux makes between them.

use std::fmt;

use super::Protocol;

/// A state of a socket, in the kernel's numbering (`include/net/tcp_states.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the states of RFC 9293 §3.3.2, by the kernel's names")]
pub enum State {
    Established = 1,
    SynSent = 2,
    SynRecv = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    TimeWait = 6,
    Close = 7,
    CloseWait = 8,
    LastAck = 9,
    Listen = 10,
    Closing = 11,
    /// The state of a request socket, which the kernel does not report.
    NewSynRecv = 12,
}

impl State {
    /// Every state, in the kernel's order.
    pub const ALL: [Self; 12] = [
        Self::Established,
        Self::SynSent,
        Self::SynRecv,
        Self::FinWait1,
        Self::FinWait2,
        Self::TimeWait,
        Self::Close,
        Self::CloseWait,
        Self::LastAck,
        Self::Listen,
        Self::Closing,
        Self::NewSynRecv,
    ];

    /// The state with this number.
    #[must_use]
    pub fn from_kernel(number: u8) -> Option<Self> {
        // The kernel numbers states from 1.
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The kernel's name without `TCP_`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::FinWait1 => "FIN_WAIT1",
            Self::FinWait2 => "FIN_WAIT2",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Listen => "LISTEN",
            Self::Closing => "CLOSING",
            Self::NewSynRecv => "NEW_SYN_RECV",
        }
    }

    /// The state with this [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The states with arrows between them.
#[must_use]
pub fn path_text(path: &[State]) -> String {
    if path.is_empty() {
        return "no transition".to_owned();
    }
    path.iter().map(|state| state.name()).collect::<Vec<_>>().join(" → ")
}

/// The state left and the state entered.
pub type Edge = (State, State);

/// The edges that `inet_sock_set_state` reports for protocol TCP.
///
/// They differ from RFC 9293's figure 5. TIME_WAIT is a mini-socket without reports, so FIN_WAIT2 and CLOSING end in CLOSE;
/// a child appears as LISTEN→SYN_RECV; a close after shutdown reports some states to themselves (`tcp_close_state` sets the
/// state that is set already).
pub const TCP_EDGES: &[Edge] = {
    use State::*;
    &[
        (Close, Listen),          // inet_csk_listen_start
        (Close, SynSent),         // tcp_v4_connect, tcp_v6_connect, under TCP_REPAIR too
        (Close, Close),           // a listener destroyed after tcp_set_state(CLOSE)
        (Listen, Close),          // inet_csk_listen_stop, tcp_disconnect
        (Listen, SynRecv),        // the child: inet_csk_clone_lock
        (SynSent, Established),   // SYN+ACK: tcp_finish_connect
        (SynSent, SynRecv),       // SYN: tcp_rcv_synsent_state_process, simultaneous open
        (SynSent, Close),         // refused, timeout, close
        (SynRecv, Established),   // ACK of SYN: tcp_rcv_state_process
        (SynRecv, FinWait1),      // close during the handshake
        (SynRecv, CloseWait),     // FIN: tcp_fin
        (SynRecv, Close),         // RST, timeout
        (Established, FinWait1),  // close, shutdown: tcp_close_state
        (Established, CloseWait), // FIN: tcp_fin
        (Established, Close),     // RST, timeout, abort
        (FinWait1, FinWait2),     // ACK of FIN
        (FinWait1, Closing),      // FIN before the ACK of ours: simultaneous close
        (FinWait1, Close),        // both at once through tcp_time_wait, RST, timeout
        (FinWait1, FinWait1),     // shutdown, then close
        (FinWait2, Close),        // to TIME_WAIT or the FIN_WAIT2 mini-socket: tcp_time_wait
        (FinWait2, FinWait2),     // shutdown, then close
        (Closing, Close),         // to TIME_WAIT
        (Closing, Closing),       // shutdown, then close
        (CloseWait, LastAck),     // close, shutdown
        (CloseWait, Close),       // RST, timeout, abort
        (LastAck, Close),         // ACK of FIN
        (LastAck, LastAck),       // shutdown, then close
    ]
};

/// [`TCP_EDGES`] for lookups: one bit for each state entered, by the state left.
const TCP_TABLE: [u16; State::NewSynRecv as usize + 1] = {
    let mut table = [0; State::NewSynRecv as usize + 1];
    let mut number = 0;
    while number < TCP_EDGES.len() {
        let (old, new) = TCP_EDGES[number];
        table[old as usize] |= 1 << new as u16;
        number += 1;
    }
    table
};

/// Whether Linux makes this transition. MPTCP sockets follow their subflows by other rules (`mptcp_set_state`), so that
/// every edge of theirs is legal here.
#[must_use]
pub fn is_legal(protocol: Protocol, edge: Edge) -> bool {
    match protocol {
        Protocol::Tcp => TCP_TABLE[edge.0 as usize] & 1 << edge.1 as u16 != 0,
        Protocol::Mptcp => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_round_trip() {
        for state in State::ALL {
            assert_eq!(State::from_kernel(state as u8), Some(state));
            assert_eq!(State::from_name(state.name()), Some(state));
        }
        assert_eq!(State::from_kernel(0), None);
        assert_eq!(State::from_kernel(13), None);
    }

    #[test]
    fn edges_of_unreported_states_are_illegal() {
        for state in State::ALL {
            for hidden in [State::TimeWait, State::NewSynRecv] {
                assert!(!is_legal(Protocol::Tcp, (state, hidden)));
                assert!(!is_legal(Protocol::Tcp, (hidden, state)));
            }
        }
    }

    #[test]
    fn legality_follows_the_kernel_rather_than_the_rfc_figure() {
        assert!(is_legal(Protocol::Tcp, (State::FinWait2, State::Close)));
        assert!(is_legal(Protocol::Tcp, (State::Listen, State::SynRecv)));
        assert!(!is_legal(Protocol::Tcp, (State::Listen, State::SynSent)));
        assert!(!is_legal(Protocol::Tcp, (State::Close, State::Established)));
        assert!(!is_legal(Protocol::Tcp, (State::Established, State::Listen)));
        assert!(is_legal(Protocol::Mptcp, (State::Listen, State::Established)));
    }
}
