//! Which `closed_by` of a connection agrees with what the stack at its last state change proves.

use probe::model::State;

use super::proof::Proof;

/// The values that are right, `None` for null. `None` of them where the stack decides nothing: MPTCP's own functions close for
/// either side.
pub fn closers(proof: Proof, old: State, in_repair: bool) -> Option<&'static [Option<&'static str>]> {
    use Proof::*;
    use State::{CloseWait, Closing, LastAck, SynSent};
    const LOCAL: &[Option<&str>] = &[Some("local")];
    const REMOTE: &[Option<&str>] = &[Some("remote")];
    const BOTH: &[Option<&str>] = &[Some("both")];
    const RESET_LOCAL: &[Option<&str>] = &[Some("reset-local")];
    const TIMEOUT: &[Option<&str>] = &[Some("timeout")];
    const KERNEL: &[Option<&str>] = &[Some("kernel")];
    // tcp_disconnect sends an RST after both FINs only if data was never sent, which the stack does not show.
    const RESET_OR_REMOTE: &[Option<&str>] = &[Some("remote"), Some("reset-local"), None];
    const RESET_OR_BOTH: &[Option<&str>] = &[Some("both"), Some("reset-local"), None];
    // Nor does it show what TCP_LINGER2 was, and whether data came that no process can read.
    const ORPHAN: &[Option<&str>] = &[Some("local"), Some("reset-local"), Some("kernel"), None];
    Some(match (proof, old) {
        (_, State::Listen | State::Close) => &[None],
        (FinReceived, _) => LOCAL,
        (AckOfFinReceived, Closing) => BOTH,
        (AckOfFinReceived, _) => REMOTE,
        (Close | CloseAtExit | CloseOnReturn | Shutdown | ConnectUnspec, SynSent) => LOCAL,
        (CloseByDisconnect | ConnectUnspec, Closing) if in_repair => BOTH,
        (CloseByDisconnect | ConnectUnspec, CloseWait | LastAck) if in_repair => REMOTE,
        (CloseByDisconnect | ConnectUnspec, _) if in_repair => LOCAL,
        (CloseByDisconnect | ConnectUnspec, Closing) => RESET_OR_BOTH,
        (CloseByDisconnect | ConnectUnspec, LastAck) => RESET_OR_REMOTE,
        (CloseUnread | CloseByDisconnect | ConnectUnspec, _) => RESET_LOCAL,
        (ChildOfClosedListener | ChildOfShutListener | ChildOfUnspecListener, _) => RESET_LOCAL,
        (ChildDiscarded, _) => KERNEL,
        (RstReceived, _) => &[Some("reset-remote")],
        (DataAfterClose, _) => RESET_LOCAL,
        (RetransmitTimer | ProbeTimer | KeepaliveTimer, _) => TIMEOUT,
        (IcmpReceived | ConnectFailed | Destroyed | ChildOfDestroyedListener | OrphanDropped, _) => KERNEL,
        (OrphanMiniSocketInClose | OrphanMiniSocketOrRst | OrphanEndedInClose | OrphanTimer, _) => ORPHAN,
        _ => return None,
    })
}
