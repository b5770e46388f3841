//! The last stage of the pipeline: outputs are counted and rendered.

use std::{collections::BTreeSet, io::Write};

use foldhash::HashSet;

use super::{SessionError, analysis::OutputSink, block_writer::BlockWriter, host_queries::Enricher};
use crate::{
    model::{
        BehaviourStatus, Connection, End, FindingKind, Mono, Output, SocketId, State, TimeWaitEntry,
        Transition,
    },
    render::Render,
};

/// Counts outputs, renders them, and remembers what the session needs of them.
pub struct Emitter {
    render: Box<dyn Render>,
    out: BlockWriter,
    /// Queried for the mini-socket that replaces a connection, right after that is shown.
    pub host: Option<Enricher>,
    /// The answer, until the session has processed it.
    time_wait: Option<TimeWaitEntry>,
    /// The scenario that is running.
    pub scenario: Option<RunningScenario>,
    /// Whether closing connections are tracked, to be followed to CLOSE after the command has exited.
    pub tracks_closing: bool,
    /// The connections that their owner has closed and that are not in CLOSE yet.
    pub closing: HashSet<SocketId>,
    /// The kinds of the findings that were shown.
    pub found: BTreeSet<FindingKind>,
    pub totals: End,
}

/// A scenario that is running.
pub struct RunningScenario {
    pub name: String,
    /// The transitions since it started, for its checks.
    pub transitions: Vec<Transition>,
}

impl Emitter {
    pub fn new(render: Box<dyn Render>, out: Box<dyn Write>) -> Self {
        Self {
            render,
            out: BlockWriter::new(out),
            host: None,
            time_wait: None,
            scenario: None,
            tracks_closing: false,
            closing: HashSet::default(),
            found: BTreeSet::new(),
            totals: End::default(),
        }
    }

    /// Counts and shows an output of the analysis.
    pub fn emit(&mut self, output: &Output) -> Result<(), SessionError> {
        match output {
            Output::Transition(transition) => {
                self.totals.transitions += 1;
                if self.tracks_closing {
                    self.track_closing(transition.socket, transition.new);
                }
                if let Some(scenario) = &mut self.scenario {
                    scenario.transitions.push(transition.clone());
                }
            }
            Output::Finding(finding) => {
                self.totals.findings += 1;
                self.found.insert(finding.kind);
            }
            Output::Connection(_) => self.totals.connections += 1,
            Output::Behaviour(result) => match result.status {
                BehaviourStatus::AsExpected => self.totals.checks_passed += 1,
                BehaviourStatus::Differs => self.totals.checks_failed += 1,
                BehaviourStatus::Unsupported | BehaviourStatus::Failed => {}
            },
            _ => {}
        }
        self.show(output)?;
        if let Output::Connection(connection) = output
            && may_leave_time_wait(connection)
        {
            self.time_wait = self.host.as_mut().and_then(|host| host.time_wait_entry(connection));
        }
        Ok(())
    }

    /// Takes the mini-socket that was found after the last connection.
    pub fn take_time_wait(&mut self) -> Option<TimeWaitEntry> {
        self.time_wait.take()
    }

    /// Shows an output without counting it.
    pub fn show(&mut self, output: &Output) -> Result<(), SessionError> {
        let Self { render, out, .. } = self;
        out.append(|text| render.render(output, text)).map_err(SessionError::Output)
    }

    /// Shows an output that has no time of its own. `latest` is the time of the latest event in the stream.
    pub fn show_at(&mut self, latest: Mono, output: &Output) -> Result<(), SessionError> {
        self.render.advance(latest);
        self.show(output)
    }

    /// Shows what the renderer holds back of a stream that failed.
    pub fn abort(&mut self) -> Result<(), SessionError> {
        let Self { render, out, .. } = self;
        out.append(|text| render.abort(text)).map_err(SessionError::Output)
    }

    pub fn flush(&mut self) -> Result<(), SessionError> {
        self.out.flush().map_err(SessionError::Output)
    }

    /// Updates the set of closing connections.
    pub fn track_closing(&mut self, socket: SocketId, entered: State) {
        match entered {
            State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck => {
                self.closing.insert(socket);
            }
            _ => {
                self.closing.remove(&socket);
            }
        }
    }
}

/// Emits at once.
impl OutputSink for Emitter {
    type Error = SessionError;

    fn push(&mut self, output: Output) -> Result<(), SessionError> {
        self.emit(&output)
    }
}

/// Whether a mini-socket may have replaced the connection: only the end that closed first gets one (`tcp_time_wait`).
fn may_leave_time_wait(connection: &Connection) -> bool {
    let last = connection.path.last_edge();
    matches!(last, Some((State::FinWait1 | State::FinWait2 | State::Closing, State::Close)))
}
