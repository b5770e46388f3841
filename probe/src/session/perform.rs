//! A scenario on stage: its driver in a thread, the kernel's reports meanwhile, the verdict after.

use std::{
    collections::HashSet,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Session, SessionError};
use crate::{
    model::{Check, Input, Phase, SocketId, Transition, Verdict},
    scenario::{self, Options, Scenario, Story},
    source::Source,
};

/// How long the kernel may take, once the driver has ended, to report the end of every socket: the
/// last packets still travel, and a lost one is sent again.
const SETTLE: Duration = Duration::from_secs(3);

/// What is to be performed.
pub struct Performance {
    /// The scenario.
    pub scenario: Arc<dyn Scenario>,
    /// How.
    pub options: Options,
}

/// What came of it.
pub struct Performed {
    /// The verdict.
    pub verdict: Verdict,
    /// What the driver told.
    pub story: Story,
    /// What the kernel reported meanwhile.
    pub transitions: Vec<Transition>,
}

impl Session {
    /// Runs one scenario to its verdict.
    ///
    /// # Errors
    /// The source gave out, or the output cannot be written. A scenario that fails is no error.
    pub async fn perform(
        &mut self,
        source: &mut impl Source,
        performance: Performance,
    ) -> Result<Performed, SessionError> {
        let Performance { scenario, options } = performance;
        // A driver that began before the programs are attached would not be seen whole.
        self.ready(source).await?;
        let summary = scenario.summary().to_owned();
        self.phase(&*scenario, Phase::Start { summary })?;
        let story = self.drive(source, Arc::clone(&scenario), options).await?;
        self.settle(source, &story).await?;
        let transitions = std::mem::take(&mut self.transitions);
        self.feed(Input::Labels(labels(&story, &transitions)))?;
        for remark in story.remarks(&transitions) {
            self.feed(Input::Note(remark))?;
        }
        if !story.sockets().is_empty() {
            self.feed(Input::Sockets(story.listed(&transitions)))?;
        }
        let checks: Vec<Check> = story.judge(&transitions);
        for check in &checks {
            self.feed(Input::Check(check.clone()))?;
        }
        let verdict = story.verdict(&checks);
        self.phase(&*scenario, Phase::End { verdict: verdict.clone() })?;
        Ok(Performed { verdict, story, transitions })
    }

    fn phase(&mut self, scenario: &dyn Scenario, phase: Phase) -> Result<(), SessionError> {
        self.feed(Input::Scenario { name: scenario.name().to_owned(), phase })?;
        self.flush()
    }

    /// Lets the driver play in a thread of its own, since a thread's namespace is its own too, and
    /// follows the reports until it has ended.
    async fn drive(
        &mut self,
        source: &mut impl Source,
        scenario: Arc<dyn Scenario>,
        options: Options,
    ) -> Result<Story, SessionError> {
        let (done, mut ended) = oneshot::channel();
        let driver = thread::spawn(move || {
            // Nobody listens any more where the session broke off.
            let _ = done.send(scenario::play(&*scenario, &options));
        });
        loop {
            tokio::select! {
                story = &mut ended => match (story, driver.join()) {
                    (Ok(story), _) => return Ok(story),
                    (Err(_), Err(panic)) => std::panic::resume_unwind(panic),
                    (Err(_), Ok(())) => unreachable!("the driver ended without a word"),
                },
                taken = self.take(source) => { taken?; }
            }
        }
    }

    /// Follows the reports until every socket of the story is closed, or will not be any more.
    async fn settle(&mut self, source: &mut impl Source, story: &Story) -> Result<(), SessionError> {
        let deadline = Instant::now() + SETTLE;
        self.take(source).await?;
        while !story.settled(&self.transitions) && Instant::now() < deadline {
            self.take(source).await?;
        }
        Ok(())
    }
}

/// Each socket that plays a part, by what the scenario calls it, in the order of their first reports.
fn labels(story: &Story, transitions: &[Transition]) -> Vec<(SocketId, String)> {
    let named = transitions.iter().map(|transition| transition.socket).zip(story.labels(transitions));
    let mut seen = HashSet::new();
    named
        .filter_map(|(socket, label)| Some((socket, label?.to_owned())))
        .filter(|(socket, _)| seen.insert(*socket))
        .collect()
}
