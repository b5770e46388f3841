//! Kernel functions that, on the stack at a transition, prove its cause.

/// A function that the kernel side looks for on the stack. Which of them sets a state, and why, is in
/// `probe/src/track/cause`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum StackFunction {
    /// `tcp_reset`: an RST was received, or data that no process can read any more. It is missing where the compiler makes a
    /// jump of its last call, to `tcp_done_with_error`.
    TcpReset = 1,
    /// `tcp_fin`: a FIN was received.
    TcpFin,
    /// `tcp_v4_err`: an ICMP error was received.
    TcpV4Err,
    /// `tcp_v6_err`: an ICMPv6 error was received.
    TcpV6Err,
    /// `tcp_rcv_state_process`: a segment was received, in any state but ESTABLISHED.
    TcpRcvStateProcess,
    /// `tcp_validate_incoming`: an RST was received. Data that no process can read any more is found only after it.
    TcpValidateIncoming,
    /// `tcp_check_req`: the third segment of the handshake was received.
    TcpCheckReq,
    /// `tcp_time_wait`: the kernel replaces the socket by a mini-socket. It is missing where the compiler makes a jump of its
    /// last call, to `tcp_done`.
    TcpTimeWait,
    /// `tcp_write_timer_handler`, or one of the functions that the compiler may inline into it: the timer of
    /// retransmissions and window probes.
    TcpWriteTimer,
    /// `tcp_retransmit_timer`
    TcpRetransmitTimer,
    /// `tcp_probe_timer`
    TcpProbeTimer,
    /// `tcp_write_timeout`: retransmissions or window probes are exhausted.
    TcpWriteTimeout,
    /// `tcp_write_err`: the end after that.
    TcpWriteErr,
    /// `tcp_keepalive_timer`: keepalive probes are exhausted, or an orphan's time in FIN_WAIT2 is over.
    TcpKeepaliveTimer,
    /// `tcp_out_of_resources`: too many orphans, or too little memory for them.
    TcpOutOfResources,
    /// `tcp_abort`: the socket was destroyed over sock_diag or by BPF.
    TcpAbort,
    /// `tcp_disconnect`: by connect(2) with AF_UNSPEC, by SO_LINGER 0, and where the functions below call it.
    TcpDisconnect,
    /// `tcp_close`, `__tcp_close`: the last descriptor was closed.
    TcpClose,
    /// `tcp_shutdown`: shutdown(2).
    TcpShutdown,
    /// `inet_shutdown`: shutdown(2).
    InetShutdown,
    /// `__inet_stream_connect`: connect(2), or a send with MSG_FASTOPEN.
    InetStreamConnect,
    /// `tcp_v4_connect`
    TcpV4Connect,
    /// `tcp_v6_connect`
    TcpV6Connect,
    /// `tcp_sendmsg_locked`: a send, which may connect (Fast Open).
    TcpSendmsg,
    /// `tcp_finish_connect`: the handshake of connect(2) is complete.
    TcpFinishConnect,
    /// `inet_csk_listen_start`: listen(2).
    ListenStart,
    /// `inet_csk_listen_stop`: the listener ends, and so do the connections that were not accepted.
    ListenStop,
    /// `inet_child_forget`: a connection that was not accepted is dropped.
    ChildForget,
    /// `tcp_v4_syn_recv_sock`: a child is created.
    TcpV4SynRecvSock,
    /// `tcp_v6_syn_recv_sock`: a child is created.
    TcpV6SynRecvSock,
    /// `mptcp_worker`: MPTCP's work queue.
    MptcpWorker,
    /// `mptcp_close`, `__mptcp_close`: the last descriptor of an MPTCP socket was closed.
    MptcpClose,
    /// `mptcp_close_ssk`, `__mptcp_close_ssk`: an MPTCP socket closes a subflow.
    MptcpCloseSubflow,
    /// `mptcp_shutdown`: shutdown(2).
    MptcpShutdown,
    /// `mptcp_disconnect`
    MptcpDisconnect,
    /// `mptcp_check_fastclose`, `mptcp_do_fastclose`
    MptcpFastclose,
    /// `mptcp_check_data_fin`: a DATA_FIN was received.
    MptcpCheckDataFin,
    /// `mptcp_check_data_fin_ack`: our DATA_FIN was acknowledged.
    MptcpCheckDataFinAck,
    /// `mptcp_check_listen_stop`: the listening subflow ends with its MPTCP socket.
    MptcpListenStop,
    /// `mptcp_subflow_queue_clean`: the MPTCP listener ends, and so do the connections that were not accepted.
    MptcpQueueClean,
    /// `mptcp_listen`
    MptcpListen,
    /// `mptcp_connect`
    MptcpConnect,
    /// `mptcp_sk_clone_init`, `mptcp_sk_clone`: the MPTCP socket of an accepted connection is created.
    MptcpClone,
    /// `mptcp_finish_connect`, `__mptcp_sync_state`, `mptcp_propagate_state`
    MptcpFinishConnect,
    /// `__mptcp_error_report`, `__mptcp_subflow_error_report`: a subflow failed.
    MptcpErrorReport,
}

/// The functions by their symbols in the kernel, without the suffixes of the compiler (`.isra.0`, `.constprop.0`,
/// `.part.0`, `.cold`).
#[rustfmt::skip]
pub const STACK_FUNCTIONS: &[(&str, StackFunction)] = {
    use StackFunction::*;
    &[
        ("tcp_reset", TcpReset),
        ("tcp_fin", TcpFin),
        ("tcp_v4_err", TcpV4Err),
        ("tcp_v6_err", TcpV6Err),
        ("tcp_rcv_state_process", TcpRcvStateProcess),
        ("tcp_validate_incoming", TcpValidateIncoming),
        ("tcp_check_req", TcpCheckReq),
        ("tcp_time_wait", TcpTimeWait),
        ("tcp_write_timer_handler", TcpWriteTimer),
        ("tcp_retransmit_timer", TcpRetransmitTimer),
        ("tcp_probe_timer", TcpProbeTimer),
        ("tcp_write_timeout", TcpWriteTimeout),
        ("tcp_write_err", TcpWriteErr),
        ("tcp_keepalive_timer", TcpKeepaliveTimer),
        ("tcp_out_of_resources", TcpOutOfResources),
        ("tcp_abort", TcpAbort),
        ("tcp_disconnect", TcpDisconnect),
        ("tcp_close", TcpClose),
        ("__tcp_close", TcpClose),
        ("tcp_shutdown", TcpShutdown),
        ("inet_shutdown", InetShutdown),
        ("__inet_stream_connect", InetStreamConnect),
        ("tcp_v4_connect", TcpV4Connect),
        ("tcp_v6_connect", TcpV6Connect),
        ("tcp_sendmsg_locked", TcpSendmsg),
        ("tcp_finish_connect", TcpFinishConnect),
        ("inet_csk_listen_start", ListenStart),
        ("inet_csk_listen_stop", ListenStop),
        ("inet_child_forget", ChildForget),
        ("tcp_v4_syn_recv_sock", TcpV4SynRecvSock),
        ("tcp_v6_syn_recv_sock", TcpV6SynRecvSock),
        ("mptcp_worker", MptcpWorker),
        ("mptcp_close", MptcpClose),
        ("__mptcp_close", MptcpClose),
        ("mptcp_close_ssk", MptcpCloseSubflow),
        ("__mptcp_close_ssk", MptcpCloseSubflow),
        ("mptcp_shutdown", MptcpShutdown),
        ("mptcp_disconnect", MptcpDisconnect),
        ("mptcp_check_fastclose", MptcpFastclose),
        ("mptcp_do_fastclose", MptcpFastclose),
        ("mptcp_check_data_fin", MptcpCheckDataFin),
        ("mptcp_check_data_fin_ack", MptcpCheckDataFinAck),
        ("mptcp_check_listen_stop", MptcpListenStop),
        ("mptcp_subflow_queue_clean", MptcpQueueClean),
        ("mptcp_listen", MptcpListen),
        ("mptcp_connect", MptcpConnect),
        ("mptcp_sk_clone_init", MptcpClone),
        ("mptcp_sk_clone", MptcpClone),
        ("mptcp_finish_connect", MptcpFinishConnect),
        ("__mptcp_sync_state", MptcpFinishConnect),
        ("mptcp_propagate_state", MptcpFinishConnect),
        ("__mptcp_error_report", MptcpErrorReport),
        ("__mptcp_subflow_error_report", MptcpErrorReport),
    ]
};

/// The functions at which the search ends, since the frames behind them are not about this socket: a softirq may have
/// interrupted the call on another one, and a backlog is processed in any call.
pub const STACK_BOUNDARIES: &[&str] = &[
    "tcp_v4_rcv",
    "tcp_v6_rcv",
    "tcp_v4_do_rcv",
    "tcp_v6_do_rcv",
    "__release_sock",
    "call_timer_fn",
    "process_one_work",
];

/// How many functions a record holds.
pub const STACK_DEPTH: usize = 4;

impl StackFunction {
    /// The function with this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        STACK_FUNCTIONS.iter().map(|(_, function)| *function).find(|function| *function as u8 == code)
    }
}
