//! Streams for tests: reports of sockets, a source that delivers them, and a renderer that captures the outputs.

use std::{cell::RefCell, collections::VecDeque, io, rc::Rc};

pub use crate::model::testing::host;
use crate::{
    model::{
        Backend, Endpoints, Input, Known, Mono, Name, Opened, Output, Report, SocketIdentity, State, Task,
    },
    render::Render,
    source::{Flow, RecordSink, Source, SourceError},
};

pub fn ready() -> Input {
    Input::Ready { host: host(), backend: Backend::TpBtf, unavailable: Vec::new(), existing: None }
}

pub fn task(pid: u32, comm: &str) -> Task {
    Task { pid, uid: 0, comm: Name::from_bytes(comm.as_bytes()) }
}

pub fn endpoints(local: &str, remote: &str) -> Endpoints {
    let at = |text: &str| text.parse::<std::net::SocketAddr>().expect("an address in a test").into();
    Endpoints { local: at(local), remote: at(remote) }
}

/// A socket of process 100 that is reported once a millisecond.
pub struct Socket {
    pub number: u64,
    pub task: Task,
    pub endpoints: Endpoints,
    pub owner_matches: Option<bool>,
    at: u64,
}

impl Socket {
    pub fn new(number: u64, local: &str, remote: &str) -> Self {
        let endpoints = endpoints(local, remote);
        Self { number, task: task(100, "client"), endpoints, owner_matches: None, at: number * 1_000_000_000 }
    }

    /// The next report: a transition.
    pub fn step(&mut self, old: State, new: State) -> Input {
        self.at += 1_000_000;
        let opens = matches!((old, new), (State::Close, State::SynSent | State::Listen));
        Input::Report(Report {
            at: Mono(self.at),
            cpu: 0,
            socket: self.number,
            address: 0,
            cookie: Some(self.number),
            identity: SocketIdentity::tcp(Some(1), self.endpoints),
            old,
            new,
            error: Some(None),
            shutdown: None,
            orphaned: None,
            fin_received: None,
            rst_received: None,
            stack: None,
            in_repair: None,
            is_subflow: false,
            task_exits: false,
            synacks: None,
            syscall: None,
            task: Some(self.task.clone()),
            owner_matches: self.owner_matches,
            opened: opens.then(|| Opened {
                generation: 1,
                owner: Some(self.task.clone()),
                known: Known::Exact,
                cgroup: Some(u64::from(self.task.pid)),
            }),
            counters: None,
            final_fields: None,
        })
    }

    /// The reports of its way through these states, from the first one.
    pub fn walk(&mut self, states: &[State]) -> Vec<Input> {
        states.windows(2).map(|edge| self.step(edge[0], edge[1])).collect()
    }
}

/// The states of a connection that is opened and closed by this end.
pub const CLIENT: [State; 6] =
    [State::Close, State::SynSent, State::Established, State::FinWait1, State::FinWait2, State::Close];

/// A source that delivers its batches, and then waits forever or ends.
pub struct MemorySource {
    pub batches: VecDeque<Vec<Input>>,
    /// What [`Source::drain`] delivers.
    pub available: Vec<Input>,
    /// Whether the source ends after the batches.
    pub ends: bool,
}

impl MemorySource {
    pub fn new(batches: impl IntoIterator<Item = Vec<Input>>) -> Self {
        Self { batches: batches.into_iter().collect(), available: Vec::new(), ends: false }
    }
}

impl Source for MemorySource {
    async fn deliver(&mut self, sink: &mut impl RecordSink) -> Result<Flow, SourceError> {
        match self.batches.pop_front() {
            Some(batch) => {
                let _ = batch.into_iter().try_for_each(|input| sink.input(input));
            }
            None if self.ends => return Ok(Flow::Ended),
            None => std::future::pending().await,
        }
        Ok(Flow::More)
    }

    fn drain(&mut self, sink: &mut impl RecordSink) -> Result<(), SourceError> {
        if self.batches.is_empty() {
            let _ = self.available.drain(..).try_for_each(|input| sink.input(input));
        }
        Ok(())
    }
}

/// A renderer that captures the outputs.
#[derive(Clone, Default)]
pub struct Captured(pub Rc<RefCell<Vec<Output>>>);

impl Captured {
    /// The captured transitions: socket, old state, new state.
    pub fn edges(&self) -> Vec<(u64, State, State)> {
        let events = self.0.borrow();
        let edge = |event: &Output| match event {
            Output::Transition(transition) => {
                Some((transition.socket.number, transition.old, transition.new))
            }
            _ => None,
        };
        events.iter().filter_map(edge).collect()
    }

    /// The number of captured outputs that satisfy `which`.
    pub fn count(&self, which: impl Fn(&Output) -> bool) -> usize {
        self.0.borrow().iter().filter(|output| which(output)).count()
    }
}

impl Render for Captured {
    fn render(&mut self, output: &Output, _out: &mut Vec<u8>) -> io::Result<()> {
        self.0.borrow_mut().push(output.clone());
        Ok(())
    }

    fn abort(&mut self, _out: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}
