//! The audit's loop: behaviours play in threads, the kernel's reports go to those that wait for them, and each is judged
//! when it has ended.

use std::{
    collections::VecDeque,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, time::sleep_until};

use super::SessionError;
use crate::{
    audit::{self, Behaviour, NetnsFilter, Observer, RunResult},
    model::{BehaviourResult, BehaviourStatus, End, Input, Output},
    source::{Flow, Source, live::Namespaces},
    track::Tracker,
};

/// How long a play may take before it is given up. Its own deadlines are shorter, so that only one that hangs in a
/// call gets here.
const GIVE_UP: Duration = Duration::from_secs(40);

/// How often a play is tried that was not as expected, or of which reports were lost: on a host that has no time for it,
/// once says nothing of the kernel.
const TRIES: u32 = 3;

/// Plays behaviours, so many at once.
pub struct Auditor {
    observer: Arc<Observer>,
    tracker: Option<Tracker>,
    waiting: VecDeque<Turn>,
    playing: Vec<Turn>,
    at_once: usize,
    totals: End,
    begun: Instant,
}

/// One behaviour's turn.
struct Turn {
    number: usize,
    behaviour: &'static Behaviour,
    /// The how-manieth try it is, from 1.
    attempt: u32,
    begun: Instant,
    /// What had been lost when it began.
    lost_before: u64,
}

/// A play that has ended.
struct Done {
    number: usize,
    attempt: u32,
    /// `None` where the driver panicked.
    played: Option<RunResult>,
}

impl Auditor {
    /// An audit of these behaviours, so many at once. `gate` lets the reports of the namespaces come that they play in.
    #[must_use]
    pub fn new(
        behaviours: Vec<&'static Behaviour>,
        at_once: usize,
        gate: impl NetnsFilter + 'static,
    ) -> Self {
        let begun = Instant::now();
        let turns = behaviours.into_iter().enumerate();
        Self {
            observer: Arc::new(Observer::new(gate)),
            tracker: None,
            waiting: turns
                .map(|(number, behaviour)| Turn { number, behaviour, attempt: 1, begun, lost_before: 0 })
                .collect(),
            playing: Vec::new(),
            at_once,
            totals: End::default(),
            begun,
        }
    }

    /// Plays them all. `tell` takes what is to be shown as it comes: where this is, each behaviour, and what was lost.
    ///
    /// # Errors
    /// The source gave out, or `tell` did.
    pub async fn run(
        &mut self,
        source: &mut impl Source,
        mut tell: impl FnMut(Output) -> Result<(), SessionError>,
    ) -> Result<(), SessionError> {
        let (say, mut done) = mpsc::unbounded_channel();
        let mut events = Vec::new();
        while !(self.waiting.is_empty() && self.playing.is_empty()) {
            if self.tracker.is_some() {
                self.start(&say);
            }
            let patience = self.playing.iter().map(|turn| turn.begun + GIVE_UP).min();
            let patience = patience.unwrap_or_else(|| Instant::now() + GIVE_UP);
            tokio::select! {
                flow = source.deliver(&mut events) => {
                    self.take(&mut events, &mut tell)?;
                    if flow? == Flow::Ended {
                        break;
                    }
                }
                Some(ended) = done.recv() => {
                    // What happened before its end has been reported.
                    source.drain(&mut events)?;
                    self.take(&mut events, &mut tell)?;
                    if let Some(result) = self.judge(ended) {
                        tell(self.count(result))?;
                    }
                }
                () = sleep_until(patience.into()) => {
                    for result in self.give_up() {
                        tell(self.count(result))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The closing figures, as far as it came.
    #[must_use]
    pub fn end(&self, attach: Duration) -> End {
        End { duration: self.begun.elapsed(), attach: Some(attach), ..self.totals.clone() }
    }

    fn count(&mut self, result: BehaviourResult) -> Output {
        match result.status {
            BehaviourStatus::AsExpected => self.totals.checks_passed += 1,
            BehaviourStatus::Differs => self.totals.checks_failed += 1,
            BehaviourStatus::Unsupported | BehaviourStatus::Failed => {}
        }
        Output::Behaviour(Box::new(result))
    }

    /// Lets as many play as may play at once.
    fn start(&mut self, say: &mpsc::UnboundedSender<Done>) {
        while self.playing.len() < self.at_once
            && let Some(turn) = self.waiting.pop_front()
        {
            let Turn { number, behaviour, attempt, .. } = turn;
            let (observer, say) = (Arc::clone(&self.observer), say.clone());
            thread::spawn(move || {
                let player = thread::Builder::new().name(behaviour.id.to_owned());
                let player = player.spawn(move || audit::play(behaviour, observer));
                let played = player.ok().and_then(|player| player.join().ok());
                // Nobody listens any more where the audit broke off.
                let _ = say.send(Done { number, attempt, played });
            });
            self.playing.push(Turn { begun: Instant::now(), lost_before: self.totals.lost, ..turn });
        }
    }

    fn take(
        &mut self,
        events: &mut Vec<Input>,
        tell: &mut impl FnMut(Output) -> Result<(), SessionError>,
    ) -> Result<(), SessionError> {
        for event in events.drain(..) {
            match &event {
                Input::Ready { host, .. } => self.tracker = Some(Tracker::new(host)),
                Input::Report(report) => {
                    if let Some(tracker) = &mut self.tracker
                        && self.observer.saw(&tracker.observe(report).transition)
                    {
                        self.totals.transitions += 1;
                    }
                    continue;
                }
                Input::Lost { count, .. } => {
                    self.totals.lost += count;
                    self.tracker.iter_mut().for_each(Tracker::lost);
                }
                _ => continue,
            }
            event.to_output().map_or(Ok(()), &mut *tell)?;
        }
        Ok(())
    }

    /// The result of a play; `None` where it is to be tried again, or was given up before.
    fn judge(&mut self, done: Done) -> Option<BehaviourResult> {
        let place = self
            .playing
            .iter()
            .position(|turn| (turn.number, turn.attempt) == (done.number, done.attempt))?;
        let turn = self.playing.swap_remove(place);
        let Some(played) = done.played else {
            return Some(failed(turn.behaviour, "its steps panicked, or there was no thread for them"));
        };
        let transitions = self.observer.take(&played.netns);
        // What was lost meanwhile may be what is missing, or what was waited for.
        let has_lost = self.totals.lost > turn.lost_before;
        let result = audit::judge(turn.behaviour, played, transitions);
        let is_certain = match result.status {
            BehaviourStatus::AsExpected | BehaviourStatus::Unsupported => true,
            BehaviourStatus::Differs => false,
            BehaviourStatus::Failed => !has_lost,
        };
        if !is_certain && turn.attempt < TRIES {
            self.waiting.push_back(Turn { attempt: turn.attempt + 1, ..turn });
            return None;
        }
        let is_doubtful = has_lost && result.status == BehaviourStatus::Differs;
        Some(if is_doubtful { failed(turn.behaviour, "reports of the kernel's were lost") } else { result })
    }

    fn give_up(&mut self) -> Vec<BehaviourResult> {
        let now = Instant::now();
        let (hanging, playing) =
            std::mem::take(&mut self.playing).into_iter().partition(|turn| turn.begun + GIVE_UP <= now);
        self.playing = playing;
        let hanging: Vec<Turn> = hanging;
        let why = "its steps hang: they were given up";
        hanging.into_iter().map(|turn| failed(turn.behaviour, why)).collect()
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

/// The audit's own trouble.
fn failed(behaviour: &Behaviour, why: &str) -> BehaviourResult {
    behaviour.result(BehaviourStatus::Failed, Some(why.to_owned()))
}
