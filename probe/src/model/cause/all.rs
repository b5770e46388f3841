//! Every cause of a state change.

use super::{Cause, CloseCall, Errno, ListenerEnd, RstReason, ShutdownHow, Timer};

/// Any error number.
macro_rules! any {
    ($errno:path) => {
        _
    };
}

/// Makes the list, and a match that does not compile while a cause is missing from it.
macro_rules! all {
    ($($variant:ident $(($($data:path),* $(; $errno:path)?))?,)*) => {
        #[expect(unreachable_patterns, reason = "the list may have a cause with several error numbers")]
        const _: fn(Cause) = |cause| match cause {
            $(Cause::$variant $(($($data,)* $(any!($errno))?))? => {})*
        };

        impl Cause {
            /// One cause of each text. Where the error number varies, the most common one.
            pub const ALL: &[Self] = &[$(Self::$variant $(($($data,)* $($errno)?))?),*];
        }
    };
}

all! {
    Listen,
    Connect,
    ConnectInRepair,
    FastOpen,
    ConnectOrFastOpen,
    Shutdown(ShutdownHow::Wr),
    Shutdown(ShutdownHow::Rdwr),
    Shutdown(ShutdownHow::Unknown),
    Shutdown(ShutdownHow::Deferred),
    Close(CloseCall::Close),
    Close(CloseCall::Exit),
    Close(CloseCall::Exec),
    CloseOrShutdownRdwr,
    Close(CloseCall::Unknown),
    CloseOrShutdown,
    CloseShutdownOrMptcp,
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
    ListenerEnd(ListenerEnd::Closed),
    ListenerEnd(ListenerEnd::Disconnected),
    ListenerEnd(ListenerEnd::Shutdown),
    ListenerEnd(ListenerEnd::Destroyed),
    ListenerEnd(ListenerEnd::Unknown),
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
    RstReceived(; Errno::ECONNRESET),
    PortUnreachable,
    RstOrPortUnreachable,
    IcmpError(; Errno::EHOSTUNREACH),
    DataAfterClose,
    RstOrDataAfterClose,
    MptcpTimeout,
    SynAckOrRepair,
    IcmpErrorOrTimeout(; Errno::EHOSTUNREACH),
    AfterIcmpError(; Errno::EHOSTUNREACH),
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
    UnknownError(; Errno::EINVAL),
    SubflowClosed,
    SubflowFailed,
    SubflowsClosed,
    MptcpUnknown,
    UnknownTransition,
    Timeout(Timer::Syn; Errno::ETIMEDOUT),
    Timeout(Timer::Syn; Errno::EHOSTUNREACH),
    Timeout(Timer::SynAck; Errno::ETIMEDOUT),
    Timeout(Timer::SynAck; Errno::EHOSTUNREACH),
    Timeout(Timer::Fin; Errno::ETIMEDOUT),
    Timeout(Timer::Fin; Errno::EHOSTUNREACH),
    Timeout(Timer::Retransmission; Errno::ETIMEDOUT),
    Timeout(Timer::Retransmission; Errno::EHOSTUNREACH),
    Timeout(Timer::Probe; Errno::ETIMEDOUT),
    Timeout(Timer::Probe; Errno::EHOSTUNREACH),
    Timeout(Timer::Keepalive; Errno::ETIMEDOUT),
    Timeout(Timer::Keepalive; Errno::EHOSTUNREACH),
    Timeout(Timer::RetransmissionOrProbe; Errno::ETIMEDOUT),
    Timeout(Timer::RetransmissionOrProbe; Errno::EHOSTUNREACH),
    Timeout(Timer::Any; Errno::ETIMEDOUT),
    Timeout(Timer::Any; Errno::EHOSTUNREACH),
}
