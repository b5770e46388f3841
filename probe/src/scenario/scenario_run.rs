//! What a driver leaves behind: its sockets, what it expects the kernel to have reported, and what it observed.

use super::{
    expectation::Expectation,
    labelled_socket::{LabelledSocket, SocketIndex},
    namespace_pair::Capture,
    resolve,
    step_error::StepError,
};
use crate::model::{Check, SocketRow, State, Transition, Verdict};

/// One run of a scenario: the sockets that its driver registered, its expectations, notes, socket listings and
/// captures, and the error that stopped the driver, if any.
#[derive(Clone, Debug)]
pub struct ScenarioRun {
    scenario: &'static str,
    sockets: Vec<LabelledSocket>,
    /// Sockets that never left CLOSE, so that the kernel reports nothing about them.
    never_opened: Vec<SocketIndex>,
    expectations: Vec<(String, Expectation)>,
    notes: Vec<String>,
    listing: Vec<SocketRow>,
    captures: Vec<Capture>,
    error: Option<StepError>,
}

impl ScenarioRun {
    /// An empty run of the scenario with this name.
    pub(super) fn new(scenario: &'static str) -> Self {
        Self {
            scenario,
            sockets: Vec::new(),
            never_opened: Vec::new(),
            expectations: Vec::new(),
            notes: Vec::new(),
            listing: Vec::new(),
            captures: Vec::new(),
            error: None,
        }
    }

    /// Adds a socket. Drivers add sockets in the order in which they open, which [`resolve::assign`] relies on.
    pub(super) fn add_socket(&mut self, socket: LabelledSocket) -> SocketIndex {
        self.sockets.push(socket);
        SocketIndex(self.sockets.len() - 1)
    }

    /// Marks a socket whose open failed before its state changed: [`Self::all_closed`] does not wait for it.
    pub(super) fn mark_never_opened(&mut self, socket: SocketIndex) {
        self.never_opened.push(socket);
    }

    /// Adds an expectation. Checks are in the order in which their expectations were added.
    pub(super) fn expect(&mut self, name: impl Into<String>, expectation: Expectation) {
        self.expectations.push((name.into(), expectation));
    }

    /// Adds a note for the reader of the report.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Adds sockets to the listing.
    pub(super) fn add_listing(&mut self, rows: Vec<SocketRow>) {
        self.listing.extend(rows);
    }

    /// Sets what the wires carried.
    pub(super) fn set_captures(&mut self, captures: Vec<Capture>) {
        self.captures = captures;
    }

    /// Sets the error that stopped the driver.
    pub(super) fn set_error(&mut self, error: StepError) {
        self.error = Some(error);
    }

    /// Corrupts one expectation, so that the verdict must be [`Verdict::Failed`].
    pub(super) fn corrupt_expectation(&mut self) {
        // The first path expectation.
        let _ = self.expectations.iter_mut().any(|(_, expectation)| expectation.corrupt());
    }

    /// The sockets, in the order in which they opened.
    #[must_use]
    pub fn sockets(&self) -> &[LabelledSocket] {
        &self.sockets
    }

    /// The driver's notes, such as the number of attempts.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The driver's notes, and one for each expectation that `transitions` do not allow to be checked.
    #[must_use]
    pub fn notes_with_unchecked(&self, transitions: &[Transition]) -> Vec<String> {
        let histories = resolve::histories(&self.sockets, transitions);
        let unchecked = self
            .expectations
            .iter()
            .filter(|(name, expectation)| expectation.check(self.scenario, name, &histories).is_none())
            .map(|(name, _)| format!("not checked: \"{name}\": this backend reports no segment counters"));
        self.notes.iter().cloned().chain(unchecked).collect()
    }

    /// The sockets that take part, as sock_diag listed them at the moment that the scenario is about.
    #[must_use]
    pub fn listing(&self) -> &[SocketRow] {
        &self.listing
    }

    /// [`Self::listing`], each socket with the owner that the kernel reported last.
    #[must_use]
    pub fn listing_with_owners(&self, transitions: &[Transition]) -> Vec<SocketRow> {
        let histories = resolve::histories(&self.sockets, transitions);
        let owner = |cookie| {
            let index = self.sockets.iter().position(|socket| socket.cookie == cookie)?;
            histories[index].last().map(|transition| (*transition.owner).clone())
        };
        let with_owner = |row: &SocketRow| {
            let owner = owner(row.cookie).unwrap_or_else(|| row.owner.clone());
            SocketRow { owner, ..row.clone() }
        };
        self.listing.iter().map(with_owner).collect()
    }

    /// What each wire carried, in the order in which the wires were created.
    #[must_use]
    pub fn captures(&self) -> &[Capture] {
        &self.captures
    }

    /// The error that stopped the driver; `None` if it completed.
    #[must_use]
    pub fn error(&self) -> Option<&StepError> {
        self.error.as_ref()
    }

    /// The label of each transition's socket; `None` for a socket that is not the scenario's.
    #[must_use]
    pub fn labels(&self, transitions: &[Transition]) -> Vec<Option<&str>> {
        resolve::assign(&self.sockets, transitions)
            .into_iter()
            .map(|index| index.map(|index| self.sockets[index].label.as_str()))
            .collect()
    }

    /// Whether every socket that opened has been reported to reach CLOSE: no more transitions will follow.
    #[must_use]
    pub fn all_closed(&self, transitions: &[Transition]) -> bool {
        let is_closed = |(index, history): (usize, &Vec<&Transition>)| match history.last() {
            Some(last) => last.new == State::Close,
            None => self.never_opened.contains(&SocketIndex(index)),
        };
        resolve::histories(&self.sockets, transitions).iter().enumerate().all(is_closed)
    }

    /// Checks every expectation against what the kernel reported.
    #[must_use]
    pub fn check(&self, transitions: &[Transition]) -> Vec<Check> {
        let histories = resolve::histories(&self.sockets, transitions);
        let checks = self
            .expectations
            .iter()
            .filter_map(|(name, expectation)| expectation.check(self.scenario, name, &histories));
        checks.chain(self.driver_check()).collect()
    }

    /// The verdict, from the checks and the driver's error.
    #[must_use]
    pub fn verdict(&self, checks: &[Check]) -> Verdict {
        if checks.iter().any(|check| !check.pass) {
            return Verdict::Failed;
        }
        match &self.error {
            Some(StepError::Unsupported(reason)) => Verdict::Unsupported(reason.clone()),
            Some(StepError::Failed { .. }) => Verdict::Failed,
            None => Verdict::Passed,
        }
    }

    /// The checks that require no reports: what calls returned and what sockets read.
    #[cfg(test)]
    pub(super) fn outcome_checks(&self) -> Vec<Check> {
        let mut outcomes = self.clone();
        outcomes.expectations.retain(|(_, expectation)| matches!(expectation, Expectation::Outcome { .. }));
        outcomes.check(&[])
    }

    /// A failed check, if a step of the driver failed.
    fn driver_check(&self) -> Option<Check> {
        let Some(error @ StepError::Failed { .. }) = &self.error else { return None };
        Some(Check {
            scenario: self.scenario.to_owned(),
            name: "scenario steps".to_owned(),
            expected: "all completed".to_owned(),
            observed: error.to_string(),
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
            testing::{history, socket, without_cookies},
        },
    };

    const CROSSED: [State; 4] = [Close, SynSent, SynRecv, Established];

    /// Two sockets that are expected to open simultaneously.
    fn simultaneous_open() -> (ScenarioRun, [LabelledSocket; 2]) {
        let pair = [socket(1, "10.0.0.1:1314", "10.0.0.2:1314"), socket(2, "10.0.0.2:1314", "10.0.0.1:1314")];
        let mut run = ScenarioRun::new("simultaneous-open");
        let indices = pair.iter().map(|socket| run.add_socket(socket.clone())).collect();
        let path = Expectation::Path { sockets: indices, span: Span::Opening, states: CROSSED.to_vec() };
        run.expect("both open", path);
        (run, pair)
    }

    #[test]
    fn a_run_is_complete_when_every_socket_is_closed() {
        let (run, [a, b]) = simultaneous_open();
        assert!(!run.all_closed(&[]));
        let mut transitions = [history(&a, 1, &CROSSED), history(&b, 2, &CROSSED)].concat();
        assert!(!run.all_closed(&transitions));
        transitions.extend(history(&a, 10, &[Established, Close]));
        assert!(!run.all_closed(&transitions));
        transitions.extend(history(&socket(3, "10.0.0.2:9", "10.0.0.1:9"), 11, &[Established, Close]));
        assert!(!run.all_closed(&transitions), "another socket's CLOSE does not count");
        transitions.extend(history(&b, 12, &[Established, Close]));
        assert!(run.all_closed(&transitions));
    }

    #[test]
    fn a_socket_that_never_opened_is_not_waited_for() {
        let (mut run, [a, b]) = simultaneous_open();
        let first = history(&a, 1, &[Close, SynSent, Close]);
        assert!(!run.all_closed(&first));
        run.mark_never_opened(SocketIndex(1));
        assert!(run.all_closed(&first));
        assert!(
            !run.all_closed(&[first, history(&b, 4, &[Close, SynSent])].concat()),
            "it has opened after all"
        );
        assert!(!run.all_closed(&[]), "nothing is reported of the other one");
    }

    #[test]
    fn an_expectation_that_the_backend_cannot_check_is_noted() {
        let mut run = ScenarioRun::new("shared-port");
        let twin = socket(1, "127.0.0.1:12345", "127.0.0.1:80");
        let index = run.add_socket(twin.clone());
        run.note("a note");
        run.expect("twin sent", Expectation::NoSegmentSent { socket: index });
        let counted = history(&twin, 1, &[Close, SynSent, Close]);
        assert_eq!(run.notes_with_unchecked(&counted), ["a note"]);
        let uncounted = without_cookies(counted);
        assert_eq!(run.check(&uncounted), []);
        let notes = run.notes_with_unchecked(&uncounted);
        assert_eq!(notes[1], "not checked: \"twin sent\": this backend reports no segment counters");
    }

    #[test]
    fn a_listed_socket_has_the_owner_that_the_kernel_reported() {
        let (mut run, [a, _]) = simultaneous_open();
        let row = |cookie| SocketRow {
            label: "a".to_owned(),
            state: Established,
            endpoints: a.endpoints,
            owner: Owner::UNKNOWN,
            cookie,
        };
        run.add_listing(vec![row(a.cookie), row(2)]);
        let task = Task { pid: 4711, uid: 0, comm: Name::from_bytes(b"probe") };
        let owner = Owner { task: Some(task), cgroup: None, known: Known::Exact };
        let mut reported = history(&a, 1, &CROSSED);
        for transition in &mut reported {
            transition.owner = owner.clone().into();
        }
        let owners: Vec<_> = run.listing_with_owners(&reported).into_iter().map(|row| row.owner).collect();
        assert_eq!(owners, [owner, Owner::UNKNOWN]);
    }

    #[test]
    fn the_verdict_follows_from_the_checks() {
        let (mut run, [a, b]) = simultaneous_open();
        let good = [history(&a, 1, &CROSSED), history(&b, 2, &CROSSED)].concat();
        let checks = run.check(&good);
        assert!(checks[0].pass, "{checks:?}");
        assert_eq!(
            (checks[0].scenario.as_str(), checks[0].name.as_str()),
            ("simultaneous-open", "both open")
        );
        assert_eq!(run.verdict(&checks), Verdict::Passed);

        let one_ordinary =
            [history(&a, 1, &CROSSED), history(&b, 2, &[Close, SynSent, Established])].concat();
        assert_eq!(run.verdict(&run.check(&one_ordinary)), Verdict::Failed);
        assert_eq!(run.verdict(&run.check(&[])), Verdict::Failed);

        run.corrupt_expectation();
        assert_eq!(run.verdict(&run.check(&good)), Verdict::Failed);
    }

    #[test]
    fn the_drivers_error_decides_the_verdict() {
        let mut run = ScenarioRun::new("self-connect");
        let reason = "this host has no network namespaces";
        run.set_error(StepError::Unsupported(reason.to_owned()));
        assert_eq!(run.check(&[]), []);
        assert_eq!(run.verdict(&[]), Verdict::Unsupported(reason.to_owned()));

        run.set_error(StepError::Failed { step: "binding".to_owned(), cause: "EACCES".to_owned() });
        let checks = run.check(&[]);
        assert_eq!(checks[0].observed, "binding: EACCES");
        assert_eq!(run.verdict(&checks), Verdict::Failed);
    }

    #[test]
    fn labels_are_those_of_the_scenario() {
        let (run, [a, _]) = simultaneous_open();
        let transitions =
            [history(&socket(9, "[::1]:1", "[::1]:2"), 1, &[Close, SynSent]), history(&a, 2, &CROSSED[..2])];
        assert_eq!(run.labels(&transitions.concat()), [None, Some("socket 1")]);
    }
}
