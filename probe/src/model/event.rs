//! The one stream that everything downstream reads.

use std::time::Duration;

use super::{
    Backend, BehaviourResult, BindFailure, Cgroup, Check, Connection, DiagEntry, Filter, Finding, Host, Mono,
    Phase, Report, Reset, SocketId, SocketRow, Summary, TimeWaitEntry, Transition,
};

/// An item of the stream, in the order in which it happened. Sources yield the first kinds; the
/// session turns each [`Report`] into a [`Transition`] and adds what tracker and detectors say.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Every program is attached: from here on nothing is missed.
    Ready {
        /// The machine.
        host: Host,
        /// Where the reports come from.
        backend: Backend,
        /// What this host cannot give, in plain words.
        unavailable: Vec<String>,
        /// How many sockets were there already; `None` where nobody looked.
        existing: Option<u64>,
    },
    /// Which sockets the stream is about, where not all, right after `Ready`. Renderers never see it.
    Filter(Box<Filter>),
    /// The sockets that were there already. Renderers never see it.
    Existing {
        /// When sock_diag had listed them.
        at: Mono,
        /// The sockets of every namespace that could be reached.
        sockets: Vec<DiagEntry>,
    },
    /// The path of a cgroup, before the first event that names its id. Renderers never see it.
    Cgroup(Cgroup),
    /// The kernel's report, before the tracker. Renderers never see it.
    Report(Report),
    /// A connection in one record, before the tracker. Renderers never see it.
    Summary(Summary),
    /// A bind(2) that failed. What is shown of it is the finding.
    BindFailed(Box<BindFailure>),
    /// An RST that was sent.
    Reset(Reset),
    /// What stayed of a connection after CLOSE.
    TimeWaitEntry(TimeWaitEntry),
    /// So late is it now, said by the live session where nothing else happens. Renderers never see it.
    Tick(Mono),
    /// A transition, made from a report.
    Transition(Transition),
    /// A connection that ended.
    Connection(Connection),
    /// Something a detector found.
    Finding(Finding),
    /// Reports that are missing, and where they went missing (`ring`, `reader`).
    Lost {
        /// How many.
        count: u64,
        /// Where.
        stage: String,
    },
    /// A scenario begins or ends.
    Scenario {
        /// Its name.
        name: String,
        /// Which of the two.
        phase: Phase,
    },
    /// A scenario's expectation against the observation.
    Check(Check),
    /// What an audit says of a behaviour.
    Behaviour(Box<BehaviourResult>),
    /// What the scenario calls the sockets whose transitions came before.
    Labels(Vec<(SocketId, String)>),
    /// Sockets as sock_diag lists them.
    Sockets(Vec<SocketRow>),
    /// A line of explanation from a scenario, such as how many tries it took.
    Note(String),
    /// The stream is over.
    End(End),
}

/// The closing figures of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Transitions seen.
    pub transitions: u64,
    /// Connections that ended.
    pub connections: u64,
    /// Findings made.
    pub findings: u64,
    /// Reports lost.
    pub lost: u64,
    /// Checks that passed; of an audit, behaviours that are as expected.
    pub checks_passed: u64,
    /// Checks that failed; of an audit, behaviours that differ.
    pub checks_failed: u64,
    /// Reports that were recorded and not looked at: nothing is known of transitions, connections and findings then.
    pub recorded: Option<u64>,
    /// From start to end.
    pub duration: Duration,
    /// How long loading and attaching the programs took; `None` without a kernel.
    pub attach: Option<Duration>,
}
