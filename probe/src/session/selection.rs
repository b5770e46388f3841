//! What of the stream is shown: of which sockets, of which kinds, and how many lines.

use super::filter::Exact;
use crate::{
    model::{BindFailure, DiagEntry, Filter, FindingKind, Output},
    render::View,
};

/// What of the stream is shown. Everything, by default.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Which sockets, of those that the stream is about ([`Input::Filter`](crate::model::Input::Filter)).
    pub filter: Filter,
    /// What the renderer shows.
    pub view: View,
    /// The kinds of findings; none mean all.
    pub kinds: Vec<FindingKind>,
    /// So many lines: of what the view is named for.
    pub lines: Option<u64>,
}

/// The selection at work on a stream.
#[derive(Debug)]
pub(super) struct Selector {
    /// Which sockets the stream is about. What passes it has been passed by the kernel side too, whose word on
    /// owners counts here.
    subject: Option<Exact>,
    exact: Exact,
    view: View,
    kinds: Vec<FindingKind>,
    lines_left: Option<u64>,
}

impl Selector {
    pub fn new(selection: Selection) -> Self {
        let Selection { filter, view, kinds, lines } = selection;
        Self { subject: None, exact: Exact::new(&filter), view, kinds, lines_left: lines }
    }

    /// The stream is about these sockets.
    pub fn subject(&mut self, filter: &Filter) {
        self.subject = Some(Exact::new(filter));
    }

    /// Leaves those of the sockets that were there already of which reports can come: of any other, nobody
    /// would hear that it has ended.
    pub fn expect(&self, sockets: &mut Vec<DiagEntry>) {
        if let Some(subject) = &self.subject {
            sockets.retain(|row| subject.may_mean(row));
        }
    }

    /// Whether everything is shown.
    pub fn is_open(&self) -> bool {
        self.subject.is_none() && self.exact.is_open() && self.lines_left.is_none() && self.kinds.is_empty()
    }

    /// Takes the next events of one socket, and leaves those in `events` that are shown now. `first_seq` tells the
    /// `seq` of the first transition of the connection that an event is about.
    pub fn admit(
        &mut self,
        events: &mut Vec<Output>,
        first_seq: impl FnOnce(&Output) -> Option<u64>,
        owner_fits: Option<bool>,
    ) {
        if self.subject.is_some() || !self.exact.is_open() {
            let first = events.first().and_then(first_seq);
            if let Some(subject) = &mut self.subject {
                subject.admit(events, first, owner_fits);
            }
            self.exact.admit(events, first, None);
        }
        self.limit(events);
    }

    /// Leaves the findings of the selected kinds, and no more lines than are left.
    fn limit(&mut self, events: &mut Vec<Output>) {
        if self.lines_left.is_some() || !self.kinds.is_empty() {
            events.retain(|event| self.is_wanted(event) && self.takes_a_line(event));
        }
    }

    /// Takes the findings that a bind(2) that failed led to, and leaves those that are shown.
    pub fn admit_bind_failure(&mut self, failure: &BindFailure, outputs: &mut Vec<Output>) {
        if let Some(subject) = &mut self.subject {
            subject.admit_bind_failure(failure, outputs);
        }
        self.exact.admit_bind_failure(failure, outputs);
        self.limit(outputs);
    }

    /// Whether as many lines were shown as were asked for.
    pub fn is_full(&self) -> bool {
        self.lines_left == Some(0)
    }

    /// Reports were lost.
    pub fn lost(&mut self) {
        self.subject.iter_mut().for_each(Exact::lost);
        self.exact.lost();
    }

    fn is_wanted(&self, event: &Output) -> bool {
        match event {
            Output::Finding(finding) => self.kinds.is_empty() || self.kinds.contains(&finding.kind),
            _ => true,
        }
    }

    fn takes_a_line(&mut self, event: &Output) -> bool {
        let counts = match event {
            Output::Transition(_) => self.view == View::Transitions,
            Output::Connection(_) => self.view == View::Connections,
            Output::Finding(_) => self.view == View::Findings,
            _ => false,
        };
        match &mut self.lines_left {
            Some(0) => !counts,
            Some(left) if counts => {
                *left -= 1;
                true
            }
            _ => true,
        }
    }
}
