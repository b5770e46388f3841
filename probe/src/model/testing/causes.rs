//! Every cause of a state change.

use crate::model::{Cause, CloseCall, Errno, ShutdownHow};

/// One of each variant; where the error number varies, the most common one.
pub fn causes() -> Vec<Cause> {
    use Cause::*;
    vec![
        Listen,
        Connect,
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
        CloseWithRst,
        CloseOfMptcp,
        ConnectUnspec,
        Disconnect,
        ListenerClose,
        DisconnectOrListenerClose,
        ChildCreated,
        SynReceived,
        SynAckReceived,
        AckOfSynReceived,
        FinReceived,
        AckOfFinReceived,
        DataFinReceived,
        AckOfDataFinReceived,
        RstReceived(Errno::ECONNRESET),
        PortUnreachable,
        RstOrPortUnreachable,
        IcmpError(Errno::EHOSTUNREACH),
        RstOrDataAfterClose,
        SynTimeout,
        SynAckTimeout,
        FinTimeout,
        KeepaliveTimeout,
        Timeout,
        TimeoutAfterIcmp(Errno::EHOSTUNREACH),
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
        OrphanTimewaitOrRst,
        OrphanDropped,
        UnknownError(Errno(5)),
        FollowsSubflows,
        UnknownTransition,
    ]
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
        Cause::TimeoutAfterIcmp(_) => Cause::TimeoutAfterIcmp(errno),
        Cause::UnknownError(_) => Cause::UnknownError(errno),
        other => other,
    })
}
