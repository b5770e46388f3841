//! Runs a scenario: starts its driver in a thread, processes the kernel's reports, and determines the verdict.

use std::{
    collections::HashSet,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::sleep_until};

use super::{Session, SessionError, event_loop::Next};
use crate::{
    model::{Input, Phase, SocketId, Transition, Verdict},
    scenario::{self, Options, Scenario, ScenarioRun},
    source::Source,
};

/// How long the kernel may take to report the end of every socket after the driver has returned: the last packets are
/// still in flight, and a lost one is retransmitted.
const SETTLE: Duration = Duration::from_secs(3);

/// The result of a scenario.
pub struct ScenarioResult {
    /// The verdict.
    pub verdict: Verdict,
    /// What the driver did and expects.
    pub run: ScenarioRun,
    /// What the kernel reported during the run.
    pub transitions: Vec<Transition>,
}

impl Session {
    /// Runs one scenario to its verdict.
    ///
    /// # Errors
    /// The source failed, or the output or the recording cannot be written. A scenario that fails is not an error.
    pub async fn run_scenario(
        &mut self,
        source: &mut impl Source,
        scenario: Arc<dyn Scenario>,
        options: Options,
    ) -> Result<ScenarioResult, SessionError> {
        // The programs must be attached before the driver starts.
        self.ready(source).await?;
        let summary = scenario.summary().to_owned();
        self.process_phase(&*scenario, Phase::Start { summary })?;
        let run = self.drive(source, Arc::clone(&scenario), options).await?;
        self.settle(source, &run).await?;
        let running = self.emitter.scenario.as_mut();
        let transitions = running.map(|running| std::mem::take(&mut running.transitions)).unwrap_or_default();
        self.process(&mut Input::Labels(labels(&run, &transitions)), None)?;
        for note in run.notes_with_unchecked(&transitions) {
            self.note(note)?;
        }
        if !run.listing().is_empty() {
            self.process(&mut Input::Sockets(run.listing_with_owners(&transitions)), None)?;
        }
        let checks = run.check(&transitions);
        for check in &checks {
            self.process(&mut Input::Check(check.clone()), None)?;
        }
        let verdict = run.verdict(&checks);
        self.process_phase(&*scenario, Phase::End { verdict: verdict.clone() })?;
        Ok(ScenarioResult { verdict, run, transitions })
    }

    fn process_phase(&mut self, scenario: &dyn Scenario, phase: Phase) -> Result<(), SessionError> {
        self.process(&mut Input::Scenario { name: scenario.name().to_owned(), phase }, None)?;
        self.flush()
    }

    /// Runs the driver in a thread of its own, since a thread's network namespace is its own too, and processes the
    /// reports until it has returned.
    async fn drive(
        &mut self,
        source: &mut impl Source,
        scenario: Arc<dyn Scenario>,
        options: Options,
    ) -> Result<ScenarioRun, SessionError> {
        let (sender, mut receiver) = oneshot::channel();
        let driver = thread::spawn(move || {
            // The receiver is gone if the session has failed.
            let _ = sender.send(scenario::run(&*scenario, &options));
        });
        loop {
            if let Next::Event(run) = self.next(source, &mut receiver).await? {
                return match (run, driver.join()) {
                    (Ok(run), _) => Ok(run),
                    (Err(_), Err(panic)) => std::panic::resume_unwind(panic),
                    (Err(_), Ok(())) => unreachable!("the driver returned without sending its run"),
                };
            }
        }
    }

    /// Processes the reports until every socket of the scenario is closed, or the time for that is over.
    async fn settle(&mut self, source: &mut impl Source, run: &ScenarioRun) -> Result<(), SessionError> {
        let deadline = Instant::now() + SETTLE;
        self.process_batch(source).await?;
        while !self.has_settled(run) {
            if let Next::Event(()) = self.next(source, sleep_until(deadline.into())).await? {
                break;
            }
        }
        Ok(())
    }

    fn has_settled(&self, run: &ScenarioRun) -> bool {
        self.emitter.scenario.as_ref().is_none_or(|running| run.all_closed(&running.transitions))
    }
}

/// Each labelled socket with its label, in the order of their first transitions.
fn labels(run: &ScenarioRun, transitions: &[Transition]) -> Vec<(SocketId, String)> {
    let labelled = transitions.iter().map(|transition| transition.socket).zip(run.labels(transitions));
    let mut seen = HashSet::new();
    labelled
        .filter_map(|(socket, label)| Some((socket, label?.to_owned())))
        .filter(|(socket, _)| seen.insert(*socket))
        .collect()
}
