//! What the kernel's stack at a state change proves about its cause: a table of kernel functions, written from the
//! kernel's source and independent of the tool.

use probe::model::State;

/// What set the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    // A call
    Listen,
    ListenFailed,
    Connect,
    FastOpen,
    /// connect(2) failed after it had set SYN_SENT.
    ConnectFailed,
    /// connect(2) under TCP_REPAIR or with a segment of its own: `tcp_connect` calls `tcp_finish_connect`.
    ConnectUnderRepair,
    Shutdown,
    ShutdownDeferred,
    /// close(2) and its like without an RST.
    Close,
    /// The process exited or was killed.
    CloseAtExit,
    /// A descriptor that the kernel closed on the way back to user mode (`task_work_run`): execve(2), dup2(2), io_uring…
    CloseOnReturn,
    /// close(2) with unread data: `__tcp_close` sets CLOSE itself and sends an RST.
    CloseUnread,
    /// close(2) with SO_LINGER 0 or under TCP_REPAIR: `__tcp_close` calls `tcp_disconnect`.
    CloseByDisconnect,
    /// `__tcp_close` ends the orphan at once: TCP_LINGER2 below 0, want of memory, or its namespace has gone.
    OrphanEndedInClose,
    /// `__tcp_close` hands the orphan to a mini-socket.
    OrphanMiniSocketInClose,
    ConnectUnspec,
    // A child that nobody accepted
    ChildOfClosedListener,
    ChildOfShutListener,
    ChildOfUnspecListener,
    ChildOfDestroyedListener,
    ChildDiscarded,

    // A segment
    ChildCreated,
    SynReceived,
    SynAckReceived,
    AckOfSynReceived,
    FinReceived,
    AckOfFinReceived,
    RstReceived,
    /// `tcp_reset` for data that no process can read any more.
    DataAfterClose,
    /// In FIN_WAIT2 or FIN_WAIT1, `tcp_rcv_state_process` ends an orphan: a mini-socket follows it, or an RST is sent
    /// (TCP_LINGER2 below 0, data that no process can read). The calls are tail calls, so that the stack is the same.
    OrphanMiniSocketOrRst,
    IcmpReceived,

    // A timer
    RetransmitTimer,
    ProbeTimer,
    KeepaliveTimer,
    /// A timer ends an orphan for want of memory or with its namespace.
    OrphanDropped,
    /// The keepalive timer ends an orphan in FIN_WAIT2.
    OrphanTimer,

    // The kernel
    Destroyed,
    ListenerDestroyed,

    // MPTCP: what sets the state of the MPTCP socket or of a subflow
    /// `mptcp_close`, in whatever function below it.
    MptcpClose,
    MptcpCloseAtExit,
    MptcpShutdown,
    MptcpConnectUnspec,
    MptcpConnectFailed,
    /// A subflow reached ESTABLISHED, or failed.
    MptcpSubflowState,
    /// A DATA_FIN or its ACK.
    MptcpDataFin,
    /// `mptcp_worker`.
    MptcpWorker,
    /// `mptcp_subflow_reset`: options that MPTCP does not accept.
    MptcpReset,
    /// The same in `tcp_reset`, or a fallback to TCP there.
    MptcpAfterRst,
}

/// Functions at which what runs for this socket starts: outside them another socket's call may be running.
const BOUNDARIES: &[&str] = &[
    "tcp_v4_rcv",
    "tcp_v6_rcv",
    "tcp_v4_do_rcv",
    "tcp_v6_do_rcv",
    "call_timer_fn",
    "__release_sock",
    "do_syscall_64",
    "do_fast_syscall_32",
    "do_int80_emulation",
    "process_one_work",
];

/// The frames that belong to this socket, the innermost first, without the tracepoint's own.
pub fn own_frames<'a>(stack: &[&'a str]) -> Vec<&'a str> {
    let setters = ["inet_sk_state_store", "inet_sk_set_state", "tcp_set_state", "mptcp_set_state"];
    let start = stack.iter().rposition(|frame| setters.contains(frame)).map_or(0, |setter| setter + 1);
    let end = stack[start..].iter().position(|frame| BOUNDARIES.contains(frame));
    stack[start..end.map_or(stack.len(), |end| start + end + 1)].to_vec()
}

/// A state change and what was on the stack.
pub struct Evidence<'a> {
    pub is_mptcp: bool,
    pub old: State,
    pub new: State,
    /// [`own_frames`].
    pub frames: &'a [&'a str],
    /// The old state of the change before this one.
    pub before: Option<State>,
}

impl Evidence<'_> {
    fn has(&self, function: &str) -> bool {
        self.frames.contains(&function)
    }

    fn has_any(&self, functions: &[&str]) -> bool {
        functions.iter().any(|function| self.has(function))
    }

    fn is_at_exit(&self) -> bool {
        self.has("do_exit")
    }

    /// A close without an RST.
    fn close(&self) -> Proof {
        if self.is_at_exit() {
            Proof::CloseAtExit
        } else if self.has("task_work_run") {
            Proof::CloseOnReturn
        } else {
            Proof::Close
        }
    }

    /// What the stack proves; `None` where the table does not have it.
    pub fn proof(&self) -> Option<Proof> {
        if self.is_mptcp { self.mptcp() } else { self.tcp() }
    }

    fn tcp(&self) -> Option<Proof> {
        use State::*;
        let Self { old, new, .. } = *self;
        if self.has("inet_csk_listen_start") {
            return Some(if new == Close { Proof::ListenFailed } else { Proof::Listen });
        }
        if self.has("inet_csk_clone_lock") {
            return Some(Proof::ChildCreated);
        }
        if self.has("tcp_finish_connect") {
            let is_own = self.has("tcp_connect");
            return Some(if is_own { Proof::ConnectUnderRepair } else { Proof::SynAckReceived });
        }
        if self.has("tcp_fin") {
            return Some(Proof::FinReceived);
        }
        if self.has("inet_csk_listen_stop") {
            return Some(self.unaccepted_child());
        }
        if self.has("tcp_abort") {
            return Some(if old == Listen { Proof::ListenerDestroyed } else { Proof::Destroyed });
        }
        if self.has_any(&["mptcp_incoming_options", "mptcp_subflow_reset"]) {
            return Some(if self.has("tcp_reset") { Proof::MptcpAfterRst } else { Proof::MptcpReset });
        }
        if self.has_any(&["tcp_v4_err", "tcp_v6_err"]) {
            return Some(Proof::IcmpReceived);
        }
        if let Some(proof) = self.timer() {
            return Some(proof);
        }
        if self.has("tcp_shutdown") {
            return Some(if self.has("tcp_rcv_state_process") {
                Proof::ShutdownDeferred
            } else if self.has("inet_shutdown") && !self.has("mptcp_subflow_shutdown") {
                Proof::Shutdown
            } else {
                self.mptcp()?
            });
        }
        if self.has("tcp_disconnect") {
            return Some(if self.has("__mptcp_close_ssk") {
                self.mptcp()?
            } else if self.has("__tcp_close") {
                // Before the handshake nothing is reset.
                if old == SynSent { self.close() } else { Proof::CloseByDisconnect }
            } else if self.has("inet_shutdown") {
                Proof::Shutdown
            } else if self.has("__inet_stream_connect") && !self.has("mptcp_disconnect") {
                Proof::ConnectUnspec
            } else {
                self.mptcp()?
            });
        }
        if self.has_any(&["__tcp_close", "tcp_close"]) {
            let proof = self.tcp_close();
            let is_orphans = matches!(proof, Proof::OrphanMiniSocketInClose | Proof::OrphanEndedInClose);
            return if self.has("__mptcp_close_ssk") && !is_orphans { self.mptcp() } else { Some(proof) };
        }
        if self.has_any(&["inet_child_forget", "inet_csk_prepare_forced_close", "subflow_syn_recv_sock"])
            || (self.has_any(&["tcp_v4_syn_recv_sock", "tcp_v6_syn_recv_sock"]) && new == Close)
        {
            return Some(Proof::ChildDiscarded);
        }
        if self.has_any(&["tcp_v4_connect", "tcp_v6_connect"]) {
            return Some(match (old, self.has("tcp_sendmsg_fastopen")) {
                (SynSent, _) => Proof::ConnectFailed,
                (_, true) => Proof::FastOpen,
                (_, false) => Proof::Connect,
            });
        }
        if self.has_any(&["tcp_validate_incoming", "tcp_check_req", "tcp_reset"]) && new == Close {
            return Some(Proof::RstReceived);
        }
        if self.has("tcp_rcv_state_process") {
            return self.segment();
        }
        if self.frames.iter().any(|frame| frame.contains("mptcp")) {
            return self.mptcp();
        }
        None
    }

    fn unaccepted_child(&self) -> Proof {
        if self.has("tcp_abort") {
            Proof::ChildOfDestroyedListener
        } else if self.has("inet_shutdown") {
            Proof::ChildOfShutListener
        } else if self.has("__inet_stream_connect") {
            Proof::ChildOfUnspecListener
        } else {
            Proof::ChildOfClosedListener
        }
    }

    fn timer(&self) -> Option<Proof> {
        // tcp_write_err and the keepalive timer report an error; tcp_out_of_resources does not.
        let has_error = self.has_any(&["tcp_done_with_error", "tcp_write_err"]);
        if self.has_any(&["tcp_write_timer", "tcp_write_timer_handler"]) {
            // tcp_probe_timer may be in tcp_write_timer_handler; tcp_retransmit_timer is too large for that.
            let retransmits = self.has_any(&["tcp_retransmit_timer", "tcp_write_timeout"]);
            return Some(match (has_error, retransmits) {
                (false, _) => Proof::OrphanDropped,
                (true, true) => Proof::RetransmitTimer,
                (true, false) => Proof::ProbeTimer,
            });
        }
        let by_keepalive = if has_error { Proof::KeepaliveTimer } else { Proof::OrphanTimer };
        self.has("tcp_keepalive_timer").then_some(by_keepalive)
    }

    /// `__tcp_close` itself, or a function that it calls.
    fn tcp_close(&self) -> Proof {
        use State::*;
        if self.has("tcp_done") {
            return Proof::OrphanMiniSocketInClose;
        }
        match (self.old, self.new) {
            // tcp_close_state
            (Listen | SynSent, Close) => self.close(),
            // After tcp_close_state left the state as it was.
            (FinWait1 | FinWait2 | Closing | LastAck, Close) if self.before == Some(self.old) => {
                Proof::OrphanEndedInClose
            }
            (_, Close) => Proof::CloseUnread,
            _ => self.close(),
        }
    }

    /// `tcp_rcv_state_process` and what the compiler has put into it.
    fn segment(&self) -> Option<Proof> {
        use State::*;
        let has_error = self.has("tcp_done_with_error");
        Some(match (self.old, self.new) {
            (SynSent, SynRecv) => Proof::SynReceived,
            (SynSent, Established) => Proof::SynAckReceived,
            (SynRecv, Established) => Proof::AckOfSynReceived,
            (FinWait1, FinWait2) => Proof::AckOfFinReceived,
            (FinWait1 | FinWait2, Close) if has_error => Proof::DataAfterClose,
            (FinWait1 | FinWait2, Close) => Proof::OrphanMiniSocketOrRst,
            (Closing | LastAck, Close) if !has_error => Proof::AckOfFinReceived,
            (SynSent, Close) if has_error => Proof::RstReceived,
            _ => return None,
        })
    }

    fn mptcp(&self) -> Option<Proof> {
        use State::*;
        let Self { old, new, .. } = *self;
        if new == Listen {
            return Some(Proof::Listen);
        }
        if self.has_any(&["mptcp_sk_clone", "mptcp_sk_clone_init"]) {
            return Some(Proof::ChildCreated);
        }
        if (old, new) == (Close, SynSent) {
            let is_fast = self.has_any(&["mptcp_sendmsg_fastopen", "mptcp_sendmsg"]);
            return Some(if is_fast { Proof::FastOpen } else { Proof::Connect });
        }
        if self.has_any(&["mptcp_close", "__mptcp_close", "mptcp_cancel_work"]) {
            return Some(if self.is_at_exit() { Proof::MptcpCloseAtExit } else { Proof::MptcpClose });
        }
        if self.has("mptcp_shutdown") || self.has("__sys_shutdown") {
            return Some(Proof::MptcpShutdown);
        }
        if self.has("mptcp_disconnect") && self.has("__inet_stream_connect") {
            return Some(Proof::MptcpConnectUnspec);
        }
        if self.has("mptcp_connect") {
            return Some(Proof::MptcpConnectFailed);
        }
        if self.has_any(&["__mptcp_sync_state", "mptcp_propagate_state", "subflow_finish_connect"]) {
            return Some(Proof::MptcpSubflowState);
        }
        if self.has_any(&["mptcp_check_data_fin", "mptcp_check_data_fin_ack"]) {
            return Some(Proof::MptcpDataFin);
        }
        if self.has("mptcp_worker") {
            // mptcp_check_data_fin_ack, where the compiler has put it into mptcp_worker
            let is_acks =
                matches!((old, new), (FinWait1, FinWait2) | (Closing | LastAck, Close)) && self.is_mptcp;
            let is_ack = is_acks && !self.has("__mptcp_close_ssk");
            return Some(if is_ack { Proof::MptcpDataFin } else { Proof::MptcpWorker });
        }
        // subflow_state_change
        let is_subflows = self.has_any(&[
            "tcp_rcv_established",
            "tcp_rcv_state_process",
            "tcp_done",
            "__mptcp_error_report",
        ]);
        (self.is_mptcp && is_subflows).then_some(Proof::MptcpSubflowState)
    }
}
