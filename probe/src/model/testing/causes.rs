//! Every cause of a state change.

use crate::model::{Cause, CloseCall, Errno, ListenerEnd as How, RstReason, ShutdownHow, Timer};

/// One of each variant; where the error number varies, the most common one.
pub fn causes() -> Vec<Cause> {
    use Cause::*;
    let mut all = vec![
        Listen,
        Connect,
        ConnectInRepair,
        FastOpen,
        Shutdown(ShutdownHow::Wr),
        Shutdown(ShutdownHow::Rdwr),
        Shutdown(ShutdownHow::Unknown),
        Shutdown(ShutdownHow::Deferred),
        Close(CloseCall::Close),
        Close(CloseCall::Exit),
        Close(CloseCall::Exec),
        CloseOrShutdownRdwr,
        CloseOrShutdown,
        CloseWithRst(RstReason::UnreadData),
        CloseWithRst(RstReason::Linger),
        CloseWithRst(RstReason::Unknown),
        CloseWithLinger,
        CloseInRepair,
        CloseOfMptcp,
        ConnectUnspec,
        DisconnectInRepair,
        Disconnect,
        DisconnectOrMptcp,
        CloseOrDisconnect,
        ListenerEnd(How::Closed),
        ListenerEnd(How::Disconnected),
        ListenerEnd(How::Shutdown),
        ListenerEnd(How::Destroyed),
        ListenerEnd(How::Unknown),
        ListenerOrMptcpClose,
        DisconnectOrListenerEnd,
        ChildCreated,
        SynReceived,
        SynAckReceived,
        AckOfSynReceived,
        SubflowEstablished,
        FinReceived,
        AckOfFinReceived,
        DataFinReceived,
        AckOfDataFinReceived,
        FastcloseReceived,
        RstReceived(Errno::ECONNRESET),
        PortUnreachable,
        RstOrPortUnreachable,
        IcmpError(Errno::EHOSTUNREACH),
        DataAfterClose,
        RstOrDataAfterClose,
        MptcpTimeout,
        SynAckOrRepair,
        IcmpErrorOrTimeout(Errno::EHOSTUNREACH),
        AfterIcmpError(Errno::EHOSTUNREACH),
        TupleInUse,
        NoLocalPort,
        ConnectFailed,
        ConnectFailedOrDisconnect,
        ListenFailed,
        Destroyed,
        ListenerDestroyed,
        DestroyedAfterClose,
        ListenerStopped,
        ChildDiscarded,
        ChildDiscardedOrDisconnect,
        OrphanTimewait,
        OrphanReset,
        OrphanTimewaitOrRst,
        OrphanDropped,
        UnknownError(Errno(5)),
        SubflowClosed,
        SubflowFailed,
        SubflowsClosed,
        MptcpUnknown,
        UnknownTransition,
    ];
    let errors = [Errno::ETIMEDOUT, Errno::EHOSTUNREACH];
    all.extend(Timer::ALL.into_iter().flat_map(|timer| errors.map(|errno| Timeout(timer, errno))));
    all
}

/// The cause with this text.
///
/// # Panics
/// No cause has it.
pub fn cause(detail: &str) -> Cause {
    causes()
        .into_iter()
        .find(|cause| cause.detail() == detail)
        .unwrap_or_else(|| panic!("no cause has the text `{detail}`"))
}

/// Any cause, with any error number where it varies.
pub fn any_cause() -> impl proptest::strategy::Strategy<Value = Cause> {
    use proptest::prelude::*;
    (proptest::sample::select(causes()), (1..200).prop_map(Errno)).prop_map(|(cause, errno)| match cause {
        Cause::RstReceived(_) => Cause::RstReceived(errno),
        Cause::IcmpError(_) => Cause::IcmpError(errno),
        Cause::Timeout(timer, _) => Cause::Timeout(timer, errno),
        Cause::IcmpErrorOrTimeout(_) => Cause::IcmpErrorOrTimeout(errno),
        Cause::AfterIcmpError(_) => Cause::AfterIcmpError(errno),
        Cause::UnknownError(_) => Cause::UnknownError(errno),
        other => other,
    })
}
