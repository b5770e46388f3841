//! The output of the pipeline: what renderers show.

use std::time::Duration;

use super::{
    Backend, BehaviourResult, Check, Connection, Finding, Host, LossStage, Phase, Reset, SocketId, SocketRow,
    TimeWaitEntry, Transition,
};

/// An item of the output stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// The stream begins.
    Ready {
        /// The machine.
        host: Host,
        /// The tracepoint that the reports come from.
        backend: Backend,
        /// What this host cannot provide, one sentence each.
        unavailable: Vec<String>,
        /// The number of sockets that existed before the trace began; `None` if they were not queried.
        existing: Option<u64>,
    },
    /// A socket changed its state.
    Transition(Transition),
    /// A connection ended.
    Connection(Connection),
    /// A detector found something.
    Finding(Finding),
    /// The kernel sent an RST.
    Reset(Reset),
    /// The TIME_WAIT or FIN_WAIT2 mini-socket that replaced a connection, or the fact that there is none.
    TimeWaitEntry(TimeWaitEntry),
    /// Reports that were not delivered to the reader.
    Lost {
        /// The number of reports.
        count: u64,
        /// Where they were lost.
        stage: LossStage,
    },
    /// A scenario starts or ends.
    Scenario {
        /// The scenario's name.
        name: String,
        /// Which of the two.
        phase: Phase,
    },
    /// A scenario's expectation, with what was observed.
    Check(Check),
    /// The result of an audited behaviour.
    Behaviour(Box<BehaviourResult>),
    /// The scenario's labels for the sockets of earlier transitions.
    Labels(Vec<(SocketId, String)>),
    /// The scenario's sockets, as sock_diag lists them.
    Sockets(Vec<SocketRow>),
    /// An explanation from a scenario or the session, such as the number of attempts.
    Note(String),
    /// The stream is over.
    End(End),
}

/// The closing figures of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Transitions shown.
    pub transitions: u64,
    /// Connections that ended.
    pub connections: u64,
    /// Connections that were open at the end; `None` if this is unknown: the kernel reported connections only at their
    /// end, reports were lost, or a filter selects the sockets.
    pub open: Option<u64>,
    /// Findings made.
    pub findings: u64,
    /// Reports lost.
    pub lost: u64,
    /// Checks that passed; in an audit, behaviours that are as expected.
    pub checks_passed: u64,
    /// Checks that failed; in an audit, behaviours that differ.
    pub checks_failed: u64,
    /// Records that were recorded without being decoded: transitions, connections and findings are unknown then.
    pub recorded: Option<u64>,
    /// The time from start to end.
    pub duration: Duration,
    /// How long it took to load and attach the BPF programs; `None` without a kernel.
    pub attach: Option<Duration>,
}
