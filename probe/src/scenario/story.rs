//! What a driver did, and what it expects the kernel to have reported of it.

use super::{ActorId, Capture, Expectation, StepError, resolve};
use crate::model::{Check, Endpoints, SocketRow, State, Transition, Verdict};

/// A socket that plays a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// What the scenario calls it.
    pub label: String,
    /// Its cookie (SO_COOKIE): the number that the kernel's reports carry.
    pub cookie: u64,
    /// The inode number of its network namespace.
    pub netns: u32,
    /// Its ends once it has opened; a local port that the kernel chooses may stay unknown.
    pub ends: Endpoints,
}

/// One scenario's run as its driver tells it: the sockets that took part, what was expected of them,
/// and what else there is to show.
#[derive(Clone, Debug)]
pub struct Story {
    scenario: &'static str,
    cast: Vec<Actor>,
    /// Those of the cast of which the kernel has nothing to report.
    unopened: Vec<ActorId>,
    expectations: Vec<(String, Expectation)>,
    notes: Vec<String>,
    sockets: Vec<SocketRow>,
    captures: Vec<Capture>,
    trouble: Option<StepError>,
}

impl Story {
    /// An empty one.
    pub(super) fn of(scenario: &'static str) -> Self {
        Self {
            scenario,
            cast: Vec::new(),
            unopened: Vec::new(),
            expectations: Vec::new(),
            notes: Vec::new(),
            sockets: Vec::new(),
            captures: Vec::new(),
            trouble: None,
        }
    }

    /// Adds a socket. Drivers add them in the order in which they open: see [`resolve::lives`].
    pub(super) fn add(&mut self, actor: Actor) -> ActorId {
        self.cast.push(actor);
        ActorId(self.cast.len() - 1)
    }

    /// Says that what was to open the socket failed before its state changed, so that nobody waits for it.
    pub(super) fn never_opened(&mut self, actor: ActorId) {
        self.unopened.push(actor);
    }

    /// Adds an expectation; checks come out in this order.
    pub(super) fn expect(&mut self, name: impl Into<String>, expectation: Expectation) {
        self.expectations.push((name.into(), expectation));
    }

    /// Adds a line of explanation.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Adds sockets as sock_diag lists them.
    pub(super) fn list(&mut self, rows: Vec<SocketRow>) {
        self.sockets.extend(rows);
    }

    /// Adds what the wires carried.
    pub(super) fn carried(&mut self, captures: Vec<Capture>) {
        self.captures = captures;
    }

    /// Says why the driver did not get to its end.
    pub(super) fn broke_off(&mut self, trouble: StepError) {
        self.trouble = Some(trouble);
    }

    /// Makes one expectation wrong, so that the verdict must be [`Verdict::Failed`].
    pub(super) fn spoil(&mut self) {
        // The first path will do.
        let _ = self.expectations.iter_mut().any(|(_, expectation)| expectation.spoil());
    }

    /// The sockets, in the order in which they opened.
    #[must_use]
    pub fn cast(&self) -> &[Actor] {
        &self.cast
    }

    /// Lines of explanation, such as how many tries something took.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The lines of explanation, and one for each expectation that `transitions` cannot be held against.
    #[must_use]
    pub fn remarks(&self, transitions: &[Transition]) -> Vec<String> {
        let lives = resolve::lives(&self.cast, transitions);
        let unchecked = self
            .expectations
            .iter()
            .filter(|(name, expectation)| expectation.check(self.scenario, name, &lives).is_none())
            .map(|(name, _)| format!("not checked: \"{name}\", for this kernel interface gives no counters"));
        self.notes.iter().cloned().chain(unchecked).collect()
    }

    /// [`Story::sockets`], each with the owner that the kernel reported of it last.
    #[must_use]
    pub fn listed(&self, transitions: &[Transition]) -> Vec<SocketRow> {
        let lives = resolve::lives(&self.cast, transitions);
        let owner = |cookie| {
            let life = &lives[self.cast.iter().position(|actor| actor.cookie == cookie)?];
            life.last().map(|transition| (*transition.owner).clone())
        };
        let owned = |row: &SocketRow| {
            let owner = owner(row.cookie).unwrap_or_else(|| row.owner.clone());
            SocketRow { owner, ..row.clone() }
        };
        self.sockets.iter().map(owned).collect()
    }

    /// The sockets at the moment that the scenario is about, as sock_diag listed them.
    #[must_use]
    pub fn sockets(&self) -> &[SocketRow] {
        &self.sockets
    }

    /// What each wire carried, in the order in which they were laid.
    #[must_use]
    pub fn captures(&self) -> &[Capture] {
        &self.captures
    }

    /// Why the driver did not get to its end; `None` where it did.
    #[must_use]
    pub fn trouble(&self) -> Option<&StepError> {
        self.trouble.as_ref()
    }

    /// For each transition what the scenario calls its socket; `None` for a socket that plays no part.
    #[must_use]
    pub fn labels(&self, transitions: &[Transition]) -> Vec<Option<&str>> {
        let places = resolve::places(&self.cast, transitions);
        places.into_iter().map(|place| place.map(|place| self.cast[place].label.as_str())).collect()
    }

    /// Whether every socket of the story that has opened has been reported to reach CLOSE: nothing more
    /// will come.
    #[must_use]
    pub fn settled(&self, transitions: &[Transition]) -> bool {
        let ended = |(place, life): (usize, &Vec<&Transition>)| match life.last() {
            Some(last) => last.new == State::Close,
            None => self.unopened.contains(&ActorId(place)),
        };
        resolve::lives(&self.cast, transitions).iter().enumerate().all(ended)
    }

    /// Holds every expectation against what the kernel reported.
    #[must_use]
    pub fn judge(&self, transitions: &[Transition]) -> Vec<Check> {
        let lives = resolve::lives(&self.cast, transitions);
        let checks = self
            .expectations
            .iter()
            .filter_map(|(name, expectation)| expectation.check(self.scenario, name, &lives));
        checks.chain(self.driver_failed()).collect()
    }

    /// What the checks, and the driver's way to its end, come to.
    #[must_use]
    pub fn verdict(&self, checks: &[Check]) -> Verdict {
        if checks.iter().any(|check| !check.pass) {
            return Verdict::Failed;
        }
        match &self.trouble {
            Some(StepError::Unsupported(why)) => Verdict::Unsupported(why.clone()),
            Some(StepError::Failed { .. }) => Verdict::Failed,
            None => Verdict::Passed,
        }
    }

    /// The checks that need no reports: what calls returned, and what was read.
    #[cfg(test)]
    pub(super) fn outcomes(&self) -> Vec<Check> {
        let mut done = self.clone();
        done.expectations.retain(|(_, expectation)| matches!(expectation, Expectation::Done { .. }));
        done.judge(&[])
    }

    /// A driver that failed is a check that failed.
    fn driver_failed(&self) -> Option<Check> {
        let Some(trouble @ StepError::Failed { .. }) = &self.trouble else { return None };
        Some(Check {
            scenario: self.scenario.to_owned(),
            name: "the scenario's own steps".to_owned(),
            expected: "all done".to_owned(),
            observed: trouble.to_string(),
            pass: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            Known, Name, Owner,
            State::{Close, Established, SynRecv, SynSent},
            Task,
        },
        scenario::{
            Span,
            testing::{actor, life, without_cookies},
        },
    };

    const CROSSED: [State; 4] = [Close, SynSent, SynRecv, Established];

    /// Two ends that are expected to open at the same time.
    fn simultaneous_open() -> (Story, [Actor; 2]) {
        let ends = [actor(1, "10.0.0.1:1314", "10.0.0.2:1314"), actor(2, "10.0.0.2:1314", "10.0.0.1:1314")];
        let mut story = Story::of("simultaneous-open");
        let actors = ends.iter().map(|actor| story.add(actor.clone())).collect();
        let path = Expectation::Path { actors, span: Span::Opening, states: CROSSED.to_vec() };
        story.expect("both ends open", path);
        (story, ends)
    }

    #[test]
    fn a_story_is_settled_when_every_socket_is_closed() {
        let (story, [a, b]) = simultaneous_open();
        assert!(!story.settled(&[]));
        let mut transitions = [life(&a, 1, &CROSSED), life(&b, 2, &CROSSED)].concat();
        assert!(!story.settled(&transitions));
        transitions.extend(life(&a, 10, &[Established, Close]));
        assert!(!story.settled(&transitions));
        transitions.extend(life(&actor(3, "10.0.0.2:9", "10.0.0.1:9"), 11, &[Established, Close]));
        assert!(!story.settled(&transitions), "a stranger's end is not ours");
        transitions.extend(life(&b, 12, &[Established, Close]));
        assert!(story.settled(&transitions));
    }

    #[test]
    fn a_socket_that_never_opened_is_not_waited_for() {
        let (mut story, [a, b]) = simultaneous_open();
        let first = life(&a, 1, &[Close, SynSent, Close]);
        assert!(!story.settled(&first));
        story.never_opened(ActorId(1));
        assert!(story.settled(&first));
        assert!(!story.settled(&[first, life(&b, 4, &[Close, SynSent])].concat()), "it has opened after all");
        assert!(!story.settled(&[]), "the other one is still to come");
    }

    #[test]
    fn what_a_backend_cannot_tell_is_remarked_on() {
        let mut story = Story::of("shared-port");
        let twin = actor(1, "127.0.0.1:12345", "127.0.0.1:80");
        let id = story.add(twin.clone());
        story.note("a note");
        story.expect("twin sent", Expectation::NoSegment { actor: id });
        let counted = life(&twin, 1, &[Close, SynSent, Close]);
        assert_eq!(story.remarks(&counted), ["a note"]);
        let uncounted = without_cookies(counted);
        assert_eq!(story.judge(&uncounted), []);
        let remarks = story.remarks(&uncounted);
        assert_eq!(remarks[1], "not checked: \"twin sent\", for this kernel interface gives no counters");
    }

    #[test]
    fn a_listed_socket_has_the_owner_that_was_reported() {
        let (mut story, [a, _]) = simultaneous_open();
        let row = |cookie| SocketRow {
            label: "a".to_owned(),
            state: Established,
            ends: a.ends,
            owner: Owner::UNKNOWN,
            cookie,
        };
        story.list(vec![row(a.cookie), row(2)]);
        let task = Task { pid: 4711, uid: 0, comm: Name::from_bytes(b"probe") };
        let owner = Owner { task: Some(task), cgroup: None, known: Known::Exact };
        let mut reported = life(&a, 1, &CROSSED);
        for transition in &mut reported {
            transition.owner = owner.clone().into();
        }
        let owners: Vec<_> = story.listed(&reported).into_iter().map(|row| row.owner).collect();
        assert_eq!(owners, [owner, Owner::UNKNOWN]);
    }

    #[test]
    fn the_verdict_is_the_checks() {
        let (mut story, [a, b]) = simultaneous_open();
        let good = [life(&a, 1, &CROSSED), life(&b, 2, &CROSSED)].concat();
        let checks = story.judge(&good);
        assert!(checks[0].pass, "{checks:?}");
        assert_eq!(
            (checks[0].scenario.as_str(), checks[0].name.as_str()),
            ("simultaneous-open", "both ends open")
        );
        assert_eq!(story.verdict(&checks), Verdict::Passed);

        let plain = [life(&a, 1, &CROSSED), life(&b, 2, &[Close, SynSent, Established])].concat();
        assert_eq!(story.verdict(&story.judge(&plain)), Verdict::Failed);
        assert_eq!(story.verdict(&story.judge(&[])), Verdict::Failed);

        story.spoil();
        assert_eq!(story.verdict(&story.judge(&good)), Verdict::Failed);
    }

    #[test]
    fn trouble_tells_in_the_verdict() {
        let mut story = Story::of("self-connect");
        let why = "no network namespaces here";
        story.broke_off(StepError::Unsupported(why.to_owned()));
        assert_eq!(story.judge(&[]), []);
        assert_eq!(story.verdict(&[]), Verdict::Unsupported(why.to_owned()));

        story.broke_off(StepError::Failed { step: "binding".to_owned(), cause: "EACCES".to_owned() });
        let checks = story.judge(&[]);
        assert_eq!(checks[0].observed, "binding: EACCES");
        assert_eq!(story.verdict(&checks), Verdict::Failed);
    }

    #[test]
    fn labels_are_the_scenarios() {
        let (story, [a, _]) = simultaneous_open();
        let transitions =
            [life(&actor(9, "[::1]:1", "[::1]:2"), 1, &[Close, SynSent]), life(&a, 2, &CROSSED[..2])];
        assert_eq!(story.labels(&transitions.concat()), [None, Some("socket 1")]);
    }
}
