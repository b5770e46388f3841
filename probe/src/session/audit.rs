//! Runs an audit: behaviours run in threads, the kernel's transitions go to those that wait for them, and each behaviour
//! is evaluated when its steps have ended.

use std::{
    collections::VecDeque,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, time::sleep_until};

use super::{Next, Session, SessionError};
use crate::{
    audit::{self, Behaviour, NetnsFilter, Observer, RunResult},
    model::{Backend, BehaviourResult, BehaviourStatus, End, Host, Output},
    source::{Flow, Source, live::Namespaces},
};

/// How long a run may take. The deadlines of its steps are shorter, so that only a run that hangs in a call gets here.
const TIME_LIMIT: Duration = Duration::from_secs(40);

/// How often a behaviour is run that differs, or that fails while reports are lost: on an overloaded host, one run says
/// nothing about the kernel.
const MAX_ATTEMPTS: u32 = 3;

/// Runs behaviours, several at a time.
pub struct Auditor {
    session: Session,
    observer: Arc<Observer>,
    waiting: VecDeque<Run>,
    running: Vec<Run>,
    /// The number of behaviours that run at the same time.
    concurrency: usize,
    results: Vec<BehaviourResult>,
}

/// A run of a behaviour.
struct Run {
    /// The behaviour's position in the audit.
    index: usize,
    behaviour: &'static Behaviour,
    /// Which attempt it is, from 1.
    attempt: u32,
    started: Instant,
    /// The number of reports that had been lost when it started.
    lost_before: u64,
}

/// A run whose steps have ended.
struct FinishedRun {
    index: usize,
    attempt: u32,
    /// `None` if the steps panicked or there was no thread for them.
    result: Option<RunResult>,
}

/// What the loop of an audit waits for besides the source.
enum Event {
    Finished(Box<FinishedRun>),
    /// The first run has reached its time limit.
    TimeLimit,
}

impl Auditor {
    /// An audit of these behaviours, `concurrency` at a time. `session` shows the results. `filter` admits the reports of
    /// the namespaces in which behaviours run.
    #[must_use]
    pub fn new(
        session: Session,
        behaviours: Vec<&'static Behaviour>,
        concurrency: usize,
        filter: impl NetnsFilter + 'static,
    ) -> Self {
        let observer = Arc::new(Observer::new(filter));
        let started = Instant::now();
        let runs = behaviours.into_iter().enumerate();
        Self {
            session: session.observer(Arc::clone(&observer)),
            observer,
            waiting: runs
                .map(|(index, behaviour)| Run { index, behaviour, attempt: 1, started, lost_before: 0 })
                .collect(),
            running: Vec::new(),
            concurrency,
            results: Vec::new(),
        }
    }

    /// Runs all behaviours. Each result is shown as soon as it is known.
    ///
    /// # Errors
    /// The source failed, or the output cannot be written.
    pub async fn run(&mut self, source: &mut impl Source) -> Result<(), SessionError> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        while !(self.waiting.is_empty() && self.running.is_empty()) {
            if self.session.pipeline.origin.is_some() {
                self.start(&sender);
            }
            let limit = self.running.iter().map(|run| run.started + TIME_LIMIT).min();
            let limit = limit.unwrap_or_else(|| Instant::now() + TIME_LIMIT);
            let event = async {
                tokio::select! {
                    Some(finished) = receiver.recv() => Event::Finished(Box::new(finished)),
                    () = sleep_until(limit.into()) => Event::TimeLimit,
                }
            };
            match self.session.next(source, event).await? {
                Next::Batch(Flow::More) => {}
                Next::Batch(Flow::Ended) => break,
                Next::Event(Event::Finished(finished)) => {
                    // The kernel has reported what happened before the end of the run.
                    self.session.drain(source)?;
                    if let Some(result) = self.evaluate(*finished) {
                        self.show(result)?;
                    }
                }
                Next::Event(Event::TimeLimit) => {
                    for result in self.abandon_hanging() {
                        self.show(result)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends the stream, with the figures so far.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn finish(&mut self, attach: Duration) -> Result<End, SessionError> {
        self.session.finish(Some(attach))
    }

    /// The time since the audit was created.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.session.started.elapsed()
    }

    /// The host and the backend; `None` if the audit was stopped before they were known.
    #[must_use]
    pub fn origin(&self) -> Option<&(Host, Backend)> {
        self.session.pipeline.origin.as_ref()
    }

    /// The results so far, in the order in which they were known.
    #[must_use]
    pub fn results(&self) -> &[BehaviourResult] {
        &self.results
    }

    fn show(&mut self, result: BehaviourResult) -> Result<(), SessionError> {
        self.results.push(result.clone());
        self.session.pipeline.emitter.emit(&Output::Behaviour(Box::new(result)))?;
        self.session.pipeline.flush()
    }

    /// Starts as many runs as may run at the same time.
    fn start(&mut self, sender: &mpsc::UnboundedSender<FinishedRun>) {
        while self.running.len() < self.concurrency
            && let Some(run) = self.waiting.pop_front()
        {
            let Run { index, behaviour, attempt, .. } = run;
            let (observer, sender) = (Arc::clone(&self.observer), sender.clone());
            thread::spawn(move || {
                let steps = thread::Builder::new().name(behaviour.id.to_owned());
                let steps = steps.spawn(move || audit::run(behaviour, observer));
                let result = steps.ok().and_then(|steps| steps.join().ok());
                // The receiver is gone if the audit has stopped.
                let _ = sender.send(FinishedRun { index, attempt, result });
            });
            let lost_before = self.session.pipeline.emitter.totals.lost;
            self.running.push(Run { started: Instant::now(), lost_before, ..run });
        }
    }

    /// The result of a run; `None` if the behaviour is to run again, or the run was abandoned before.
    fn evaluate(&mut self, finished: FinishedRun) -> Option<BehaviourResult> {
        let position = self
            .running
            .iter()
            .position(|run| (run.index, run.attempt) == (finished.index, finished.attempt))?;
        let run = self.running.swap_remove(position);
        let Some(mut result) = finished.result else {
            return Some(failed(run.behaviour, "its steps panicked, or no thread could be started for them"));
        };
        let transitions = result.observed.take();
        // A missing transition may be among the lost reports.
        let has_lost = self.session.pipeline.emitter.totals.lost > run.lost_before;
        let result = audit::evaluate(run.behaviour, result, transitions);
        let is_certain = match result.status {
            BehaviourStatus::AsExpected | BehaviourStatus::Unsupported => true,
            BehaviourStatus::Differs => false,
            BehaviourStatus::Failed => !has_lost,
        };
        if !is_certain && run.attempt < MAX_ATTEMPTS {
            self.waiting.push_back(Run { attempt: run.attempt + 1, ..run });
            return None;
        }
        let is_doubtful = has_lost && result.status == BehaviourStatus::Differs;
        Some(if is_doubtful {
            failed(run.behaviour, "kernel reports were lost during the run")
        } else {
            result
        })
    }

    /// Abandons the runs that have reached their time limit.
    fn abandon_hanging(&mut self) -> Vec<BehaviourResult> {
        let now = Instant::now();
        let reason = format!("its steps did not end within {} s", TIME_LIMIT.as_secs());
        self.running
            .extract_if(.., |run| run.started + TIME_LIMIT <= now)
            .map(|run| failed(run.behaviour, &reason))
            .collect()
    }
}

impl NetnsFilter for Namespaces {
    fn open(&self, netns: u32) -> Result<(), String> {
        self.add(netns).map_err(|error| error.to_string())
    }

    fn shut(&self, netns: u32) {
        self.remove(netns);
    }
}

/// The result of a behaviour that could not be evaluated.
fn failed(behaviour: &Behaviour, reason: &str) -> BehaviourResult {
    behaviour.result(BehaviourStatus::Failed, Some(reason.to_owned()))
}
