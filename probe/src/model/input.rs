//! The input of the pipeline: what sources deliver, scenarios report and recordings hold.

use super::{
    Backend, BindFailure, Cgroup, Check, DiagEntry, End, Filter, Host, LossStage, Mono, Output, Phase,
    Report, Reset, SocketId, SocketRow, Summary, TimeWaitEntry,
};

/// An item of the input stream, in the order in which it happened. The session analyzes it and emits
/// [`Output`]s.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Every program is attached: from here on, the stream is complete but for what [`Lost`](Self::Lost) counts.
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
    /// Which sockets the stream covers, if not all. Follows [`Ready`](Self::Ready).
    Filter(Box<Filter>),
    /// The sockets that existed before the trace began.
    Existing {
        /// When sock_diag had listed them.
        at: Mono,
        /// The sockets of every network namespace that could be queried.
        sockets: Vec<DiagEntry>,
    },
    /// The path of a cgroup. Precedes the first input that names its id.
    Cgroup(Cgroup),
    /// A state change, as the kernel reported it.
    Report(Report),
    /// A whole connection in one record.
    Summary(Summary),
    /// A bind(2) that failed.
    BindFailed(Box<BindFailure>),
    /// An RST that the kernel sent.
    Reset(Reset),
    /// The TIME_WAIT or FIN_WAIT2 mini-socket that replaced a connection, or the fact that there is none.
    TimeWaitEntry(TimeWaitEntry),
    /// The current time. A live session adds one where nothing else happens, since the analysis reads no clock.
    Tick(Mono),
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
    /// The scenario's labels for the sockets of earlier transitions.
    Labels(Vec<(SocketId, String)>),
    /// The scenario's sockets, as sock_diag lists them.
    Sockets(Vec<SocketRow>),
    /// An explanation from a scenario or the session, such as the number of attempts.
    Note(String),
    /// The stream is over. Of the figures, a recording holds the durations only: a replay counts again.
    End(End),
}

impl Input {
    /// The output that shows this input unchanged; `None` if only the analysis reads it.
    #[must_use]
    pub fn to_output(&self) -> Option<Output> {
        Some(match self {
            Self::Ready { host, backend, unavailable, existing } => Output::Ready {
                host: host.clone(),
                backend: *backend,
                unavailable: unavailable.clone(),
                existing: *existing,
            },
            Self::Reset(reset) => Output::Reset(reset.clone()),
            Self::TimeWaitEntry(entry) => Output::TimeWaitEntry(entry.clone()),
            Self::Lost { count, stage } => Output::Lost { count: *count, stage: *stage },
            Self::Scenario { name, phase } => Output::Scenario { name: name.clone(), phase: phase.clone() },
            Self::Check(check) => Output::Check(check.clone()),
            Self::Labels(labels) => Output::Labels(labels.clone()),
            Self::Sockets(rows) => Output::Sockets(rows.clone()),
            Self::Note(text) => Output::Note(text.clone()),
            Self::End(end) => Output::End(end.clone()),
            Self::Filter(_)
            | Self::Existing { .. }
            | Self::Cgroup(_)
            | Self::Report(_)
            | Self::Summary(_)
            | Self::BindFailed(_)
            | Self::Tick(_) => return None,
        })
    }
}
