//! Runs a scenario: starts its driver in a thread, processes the kernel's reports, and determines the verdict.

use std::{
    collections::HashSet,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::sleep_until};

use super::{Next, Session, SessionError};
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

/// Runs one scenario to its verdict.
///
/// # Errors
/// The source failed, or the output or the recording cannot be written. A scenario that fails is not an error.
pub async fn run_scenario(
    session: &mut Session,
    source: &mut impl Source,
    scenario: Arc<dyn Scenario>,
    options: Options,
) -> Result<ScenarioResult, SessionError> {
    // The programs must be attached before the driver starts.
    session.ready(source).await?;
    let summary = scenario.summary().to_owned();
    process_phase(session, &*scenario, Phase::Start { summary })?;
    let run = drive(session, source, Arc::clone(&scenario), options).await?;
    settle(session, source, &run).await?;
    let running = session.pipeline.emitter.scenario.as_mut();
    let transitions = running.map(|running| std::mem::take(&mut running.transitions)).unwrap_or_default();
    session.pipeline.process(&mut Input::Labels(labels(&run, &transitions)), None)?;
    for note in run.notes_with_unchecked(&transitions) {
        session.note(note)?;
    }
    if !run.listing().is_empty() {
        session.pipeline.process(&mut Input::Sockets(run.listing_with_owners(&transitions)), None)?;
    }
    let checks = run.check(&transitions);
    for check in &checks {
        session.pipeline.process(&mut Input::Check(check.clone()), None)?;
    }
    let verdict = run.verdict(&checks);
    process_phase(session, &*scenario, Phase::End { verdict: verdict.clone() })?;
    Ok(ScenarioResult { verdict, run, transitions })
}

fn process_phase(session: &mut Session, scenario: &dyn Scenario, phase: Phase) -> Result<(), SessionError> {
    session.pipeline.process(&mut Input::Scenario { name: scenario.name().to_owned(), phase }, None)?;
    session.pipeline.flush()
}

/// Runs the driver in a thread of its own, since a thread's network namespace is its own too, and processes the
/// reports until it has returned.
async fn drive(
    session: &mut Session,
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
        if let Next::Event(run) = session.next(source, &mut receiver).await? {
            return match (run, driver.join()) {
                (Ok(run), _) => Ok(run),
                (Err(_), Err(panic)) => std::panic::resume_unwind(panic),
                (Err(_), Ok(())) => unreachable!("the driver returned without sending its run"),
            };
        }
    }
}

/// Processes the reports until every socket of the scenario is closed, or the time for that is over.
async fn settle(
    session: &mut Session,
    source: &mut impl Source,
    run: &ScenarioRun,
) -> Result<(), SessionError> {
    let deadline = Instant::now() + SETTLE;
    session.process_batch(source).await?;
    while !has_settled(session, run) {
        if let Next::Event(()) = session.next(source, sleep_until(deadline.into())).await? {
            break;
        }
    }
    Ok(())
}

fn has_settled(session: &Session, run: &ScenarioRun) -> bool {
    session.pipeline.emitter.scenario.as_ref().is_none_or(|running| run.all_closed(&running.transitions))
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
