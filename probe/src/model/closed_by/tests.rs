//! Who closed, for every cause in every state.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::model::{Errno, RstReason, testing::any_cause};

/// States from which a connection reaches CLOSE.
const BEFORE_CLOSE: [State; 8] =
    [SynSent, SynRecv, Established, FinWait1, FinWait2, Closing, CloseWait, LastAck];

/// Every state of a connection before CLOSE, with an ordinary path to it.
fn paths() -> [(State, Vec<State>); 8] {
    let active = [Close, SynSent, Established];
    [
        (SynSent, vec![Close, SynSent]),
        (SynRecv, vec![Listen, SynRecv]),
        (Established, active.to_vec()),
        (FinWait1, [&active[..], &[FinWait1]].concat()),
        (FinWait2, [&active[..], &[FinWait1, FinWait2]].concat()),
        (Closing, [&active[..], &[FinWait1, Closing]].concat()),
        (CloseWait, [&active[..], &[CloseWait]].concat()),
        (LastAck, [&active[..], &[CloseWait, LastAck]].concat()),
    ]
}

/// Who closed, by the text of the cause, in the order of [`BEFORE_CLOSE`]; `-` is nobody. A cause that is not listed
/// names nobody.
const TABLE: &[(&str, [&str; 8])] = &[
    // SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSING, CLOSE_WAIT, LAST_ACK
    ("close", ["local", "-", "-", "-", "-", "-", "-", "-"]),
    ("close at exit", ["local", "-", "-", "-", "-", "-", "-", "-"]),
    ("close or close at exit", ["local", "-", "-", "-", "-", "-", "-", "-"]),
    ("close at exec", ["local", "-", "-", "-", "-", "-", "-", "-"]),
    ("shutdown", ["local", "-", "-", "-", "-", "-", "-", "-"]),
    ("shutdown(WR)", ["local", "-", "-", "-", "-", "-", "-", "-"]),
    ("shutdown(RDWR)", ["local", "-", "-", "-", "-", "-", "-", "-"]),
    ("shutdown, deferred from SYN_RECV", ["local", "-", "-", "-", "-", "-", "-", "-"]),
    ("disconnected, or ended by MPTCP", ["local", "-", "-", "-", "-", "-", "-", "-"]),
    ("connect(AF_UNSPEC)", ["local", "RST", "RST", "RST", "RST", "both", "RST", "remote"]),
    ("disconnected", ["local", "RST", "RST", "RST", "RST", "both", "RST", "remote"]),
    ("close with RST (unread data)", ["local", "RST", "RST", "RST", "RST", "RST", "RST", "RST"]),
    ("close with RST (SO_LINGER 0)", ["local", "RST", "RST", "RST", "RST", "RST", "RST", "RST"]),
    (
        "close with RST (unread data or SO_LINGER 0)",
        ["local", "RST", "RST", "RST", "RST", "RST", "RST", "RST"],
    ),
    ("close of its MPTCP socket", ["local", "RST", "RST", "RST", "RST", "RST", "RST", "RST"]),
    ("data received after close, RST sent", ["RST"; 8]),
    ("close with SO_LINGER 0", ["-", "-", "-", "-", "-", "both", "-", "remote"]),
    ("close with RST, or disconnected", ["-", "-", "-", "RST", "RST", "-", "-", "-"]),
    (
        "close under TCP_REPAIR, without a segment",
        ["local", "local", "local", "local", "local", "both", "remote", "remote"],
    ),
    (
        "disconnected under TCP_REPAIR, without a segment",
        ["local", "local", "local", "local", "local", "both", "remote", "remote"],
    ),
    ("listener closed before accept", ["-", "RST", "RST", "RST", "RST", "both", "RST", "remote"]),
    (
        "listener disconnected before accept: connect(AF_UNSPEC)",
        ["-", "RST", "RST", "RST", "RST", "both", "RST", "remote"],
    ),
    ("listener shut down before accept", ["-", "RST", "RST", "RST", "RST", "both", "RST", "remote"]),
    ("listener ended before accept", ["-", "RST", "RST", "RST", "RST", "both", "RST", "remote"]),
    (
        "listener closed before accept, or close of its MPTCP socket",
        ["-", "RST", "RST", "RST", "RST", "both", "RST", "remote"],
    ),
    ("listener destroyed before accept, via sock_diag or BPF", ["kernel"; 8]),
    ("FIN received", ["-", "-", "-", "-", "local", "-", "-", "-"]),
    ("DATA_FIN or FIN received", ["-", "-", "-", "-", "local", "-", "-", "-"]),
    ("orphan: FIN_WAIT2 timewait socket", ["-", "-", "-", "-", "local", "-", "-", "-"]),
    ("orphan: FIN_WAIT2 timewait socket, or RST sent", ["-", "-", "-", "-", "local", "-", "-", "-"]),
    ("orphan: RST sent (TCP_LINGER2 is negative)", ["-", "-", "-", "-", "RST", "-", "-", "-"]),
    ("ACK of FIN received", ["-", "-", "-", "-", "-", "both", "-", "remote"]),
    ("ACK of DATA_FIN or FIN received", ["-", "-", "-", "-", "-", "both", "-", "remote"]),
    ("RST received", ["reset-remote"; 8]),
    ("MP_FASTCLOSE received", ["reset-remote"; 8]),
    ("MPTCP close timeout", ["timeout"; 8]),
    ("ICMP port unreachable received", ["kernel"; 8]),
    ("ICMP error received", ["kernel"; 8]),
    ("connect failed locally: 4-tuple in use", ["kernel"; 8]),
    ("connect failed locally: no free local port", ["kernel"; 8]),
    ("connect failed locally", ["kernel"; 8]),
    ("destroyed via sock_diag or BPF", ["kernel"; 8]),
    ("child discarded", ["kernel"; 8]),
    ("orphan dropped: out of memory, or netns gone", ["kernel"; 8]),
];

/// The row of a cause.
fn expected(cause: Cause) -> [&'static str; 8] {
    if matches!(cause, Cause::Timeout(..)) {
        return ["timeout"; 8];
    }
    let row = TABLE.iter().find(|(detail, _)| *detail == cause.detail());
    row.map_or(["-"; 8], |(_, row)| row.map(|name| if name == "RST" { "reset-local" } else { name }))
}

#[test]
fn path_and_cause_name_who_closed() {
    for &cause in Cause::ALL {
        let row = expected(cause);
        for (old, mut path) in paths() {
            path.push(Close);
            let column = BEFORE_CLOSE.iter().position(|state| *state == old).expect("it is listed");
            let name = ClosedBy::of(&path.into_iter().collect(), cause).map_or("-", ClosedBy::name);
            assert_eq!(name, row[column], "{old}: {}", cause.detail());
        }
    }
}

#[test]
fn every_row_is_of_a_cause() {
    for (detail, _) in TABLE {
        assert!(Cause::ALL.iter().any(|cause| cause.detail() == *detail), "{detail}");
    }
}

#[test]
fn ordinary_ends_are_named() {
    let reset = Cause::RstReceived(Errno::ECONNRESET);
    let timeout = Cause::Timeout(crate::model::Timer::Retransmission, Errno::ETIMEDOUT);
    for (path, cause, name) in [
        (vec![Established, FinWait1, FinWait2, Close], Cause::FinReceived, Some("local")),
        (vec![Established, CloseWait, LastAck, Close], Cause::AckOfFinReceived, Some("remote")),
        (vec![Established, FinWait1, Closing, Close], Cause::AckOfFinReceived, Some("both")),
        (vec![Established, Close], Cause::CloseWithRst(RstReason::Linger), Some("reset-local")),
        (vec![Established, Close], reset, Some("reset-remote")),
        (vec![Established, FinWait1, Close], reset, Some("reset-remote")),
        (vec![Established, Close], timeout, Some("timeout")),
        (vec![Established, Close], Cause::Destroyed, Some("kernel")),
        (vec![Established, FinWait1, FinWait2, Close], Cause::RstOrDataAfterClose, None),
    ] {
        let closed_by = ClosedBy::of(&path.into_iter().collect(), cause);
        assert_eq!(closed_by.map(ClosedBy::name), name);
    }
}

proptest! {
    /// Whatever came before, the state before CLOSE and the cause decide; and a FIN is only attributed to a side
    /// whose FIN that state proves.
    #[test]
    fn no_value_contradicts_the_path(
        start in vec(select(State::ALL.to_vec()), 0..20),
        old in select(State::ALL.to_vec()),
        new in select(State::ALL.to_vec()),
        cause in any_cause(),
    ) {
        let path = start.into_iter().chain([old, new]).collect();
        let closed_by = ClosedBy::of(&path, cause);
        prop_assert_eq!(closed_by, ClosedBy::of(&[old, new].into(), cause));
        let ends_a_connection = new == Close && BEFORE_CLOSE.contains(&old);
        prop_assert!(closed_by.is_none() || ends_a_connection);
        let is_in_repair = matches!(cause, Cause::CloseInRepair | Cause::DisconnectInRepair);
        match closed_by {
            Some(ClosedBy::Local) => {
                prop_assert!(is_in_repair || matches!(old, SynSent | FinWait1 | FinWait2));
            }
            Some(ClosedBy::Remote) => prop_assert!(matches!(old, CloseWait | LastAck)),
            Some(ClosedBy::Both) => prop_assert_eq!(old, Closing),
            Some(ClosedBy::ResetLocal) => {
                prop_assert!(old != SynSent || cause == Cause::DataAfterClose);
            }
            Some(ClosedBy::ResetRemote) => {
                prop_assert!(matches!(cause, Cause::RstReceived(_) | Cause::FastcloseReceived));
            }
            Some(ClosedBy::Timeout) => {
                prop_assert!(cause.errno().is_some() || cause == Cause::MptcpTimeout);
            }
            Some(ClosedBy::Kernel) | None => {}
        }
    }
}

#[test]
fn a_path_without_its_end_names_nobody() {
    for &cause in Cause::ALL {
        assert_eq!(ClosedBy::of(&StatePath::default(), cause), None);
        assert_eq!(ClosedBy::of(&[Close].into(), cause), None);
        assert_eq!(ClosedBy::of(&[Established, FinWait1].into(), cause), None);
    }
}
