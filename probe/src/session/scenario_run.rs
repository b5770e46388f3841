//! Runs a scenario: its driver in a thread, the kernel's reports meanwhile, then the verdict.

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
    scenario::{self, Options, Scenario, Story},
    source::Source,
};

/// How long the kernel may take to report the end of every socket after the driver has returned: the last packets are
/// still in flight, and a lost one is retransmitted.
const SETTLE: Duration = Duration::from_secs(3);

/// A scenario with its options.
pub struct ScenarioRun {
    /// The scenario.
    pub scenario: Arc<dyn Scenario>,
    /// Its options.
    pub options: Options,
}

/// The result of a scenario.
pub struct ScenarioResult {
    /// The verdict.
    pub verdict: Verdict,
    /// What the driver did and expects.
    pub story: Story,
    /// What the kernel reported meanwhile.
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
        run: ScenarioRun,
    ) -> Result<ScenarioResult, SessionError> {
        let ScenarioRun { scenario, options } = run;
        // The programs must be attached before the driver starts.
        self.ready(source).await?;
        let summary = scenario.summary().to_owned();
        self.process_phase(&*scenario, Phase::Start { summary })?;
        let story = self.drive(source, Arc::clone(&scenario), options).await?;
        self.settle(source, &story).await?;
        let running = self.emitter.scenario.as_mut();
        let transitions = running.map(|running| std::mem::take(&mut running.transitions)).unwrap_or_default();
        self.process(&mut Input::Labels(labels(&story, &transitions)), None)?;
        for remark in story.remarks(&transitions) {
            self.note(remark)?;
        }
        if !story.sockets().is_empty() {
            self.process(&mut Input::Sockets(story.listed(&transitions)), None)?;
        }
        let checks = story.judge(&transitions);
        for check in &checks {
            self.process(&mut Input::Check(check.clone()), None)?;
        }
        let verdict = story.verdict(&checks);
        self.process_phase(&*scenario, Phase::End { verdict: verdict.clone() })?;
        Ok(ScenarioResult { verdict, story, transitions })
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
    ) -> Result<Story, SessionError> {
        let (sender, mut receiver) = oneshot::channel();
        let driver = thread::spawn(move || {
            // The receiver is gone if the session has failed.
            let _ = sender.send(scenario::play(&*scenario, &options));
        });
        loop {
            if let Next::Event(story) = self.next(source, &mut receiver).await? {
                return match (story, driver.join()) {
                    (Ok(story), _) => Ok(story),
                    (Err(_), Err(panic)) => std::panic::resume_unwind(panic),
                    (Err(_), Ok(())) => unreachable!("the driver returned without sending its story"),
                };
            }
        }
    }

    /// Processes the reports until every socket of the story is closed, or the time for that is over.
    async fn settle(&mut self, source: &mut impl Source, story: &Story) -> Result<(), SessionError> {
        let deadline = Instant::now() + SETTLE;
        self.process_batch(source).await?;
        while !self.has_settled(story) {
            if let Next::Event(()) = self.next(source, sleep_until(deadline.into())).await? {
                break;
            }
        }
        Ok(())
    }

    fn has_settled(&self, story: &Story) -> bool {
        self.emitter.scenario.as_ref().is_none_or(|running| story.settled(&running.transitions))
    }
}

/// Each labelled socket with its label, in the order of their first transitions.
fn labels(story: &Story, transitions: &[Transition]) -> Vec<(SocketId, String)> {
    let labelled = transitions.iter().map(|transition| transition.socket).zip(story.labels(transitions));
    let mut seen = HashSet::new();
    labelled
        .filter_map(|(socket, label)| Some((socket, label?.to_owned())))
        .filter(|(socket, _)| seen.insert(*socket))
        .collect()
}
