//! Which part of the stream is shown: which sockets, which kinds of findings, and how many lines.

use super::filter::SocketFilter;
use crate::{
    model::{BindFailure, DiagEntry, Filter, FindingKind, Output},
    render::View,
};

/// The part of the stream that is shown. By default, everything.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The sockets, of those that the stream covers ([`Input::Filter`](crate::model::Input::Filter)).
    pub filter: Filter,
    /// What the renderer shows.
    pub view: View,
    /// The kinds of findings; if empty, all.
    pub kinds: Vec<FindingKind>,
    /// The maximum number of lines of what the view is named after; `None` for no limit.
    pub max_lines: Option<u64>,
}

/// Applies a [`Selection`] to a stream.
#[derive(Debug)]
pub(super) struct Selector {
    /// The sockets that the stream covers, if not all. The kernel side has applied this filter before; its decision on
    /// owners counts here.
    stream_filter: Option<SocketFilter>,
    filter: SocketFilter,
    view: View,
    kinds: Vec<FindingKind>,
    lines_left: Option<u64>,
}

impl Selector {
    pub fn new(selection: Selection) -> Self {
        let Selection { filter, view, kinds, max_lines } = selection;
        Self { stream_filter: None, filter: SocketFilter::new(&filter), view, kinds, lines_left: max_lines }
    }

    /// Limits the selection to the sockets that the stream covers.
    pub fn set_stream_filter(&mut self, filter: &Filter) {
        self.stream_filter = Some(SocketFilter::new(filter));
    }

    /// Keeps those of the existing sockets that the stream may cover: of any other, the close would not be reported.
    pub fn retain_covered(&self, sockets: &mut Vec<DiagEntry>) {
        if let Some(filter) = &self.stream_filter {
            sockets.retain(|row| filter.may_match(row));
        }
    }

    /// Whether a filter selects the sockets that are shown.
    pub fn filters_sockets(&self) -> bool {
        self.stream_filter.is_some() || !self.filter.is_empty()
    }

    /// Whether everything is shown.
    pub fn selects_everything(&self) -> bool {
        self.stream_filter.is_none()
            && self.filter.is_empty()
            && self.lines_left.is_none()
            && self.kinds.is_empty()
    }

    /// Takes the next outputs about one socket, and leaves those in `outputs` that are shown now. `first_seq` returns the
    /// `seq` of the first transition of an output's connection; `owner_matches` is the kernel side's decision on the
    /// owner.
    pub fn select(
        &mut self,
        outputs: &mut Vec<Output>,
        first_seq: impl Fn(&Output) -> Option<u64>,
        owner_matches: Option<bool>,
    ) {
        if let Some(filter) = &mut self.stream_filter {
            filter.select(outputs, &first_seq, owner_matches);
        }
        self.filter.select(outputs, &first_seq, None);
        self.limit(outputs);
    }

    /// Takes the findings about a bind(2) that failed, and leaves those that are shown.
    pub fn select_bind_failure(&mut self, failure: &BindFailure, outputs: &mut Vec<Output>) {
        if let Some(filter) = &mut self.stream_filter {
            filter.select_bind_failure(failure, outputs);
        }
        self.filter.select_bind_failure(failure, outputs);
        self.limit(outputs);
    }

    /// Whether the maximum number of lines has been shown.
    pub fn is_exhausted(&self) -> bool {
        self.lines_left == Some(0)
    }

    /// Reports were lost.
    pub fn lost(&mut self) {
        self.stream_filter.iter_mut().for_each(SocketFilter::lost);
        self.filter.lost();
    }

    /// Drops findings of other kinds, and lines beyond the maximum.
    fn limit(&mut self, outputs: &mut Vec<Output>) {
        if self.lines_left.is_some() || !self.kinds.is_empty() {
            outputs.retain(|output| self.has_selected_kind(output) && self.takes_line(output));
        }
    }

    fn has_selected_kind(&self, output: &Output) -> bool {
        match output {
            Output::Finding(finding) => self.kinds.is_empty() || self.kinds.contains(&finding.kind),
            _ => true,
        }
    }

    fn takes_line(&mut self, output: &Output) -> bool {
        let is_line = match output {
            Output::Transition(_) => self.view == View::Transitions,
            Output::Connection(_) => self.view == View::Connections,
            Output::Finding(_) => self.view == View::Findings,
            _ => false,
        };
        match &mut self.lines_left {
            Some(0) => !is_line,
            Some(left) if is_line => {
                *left -= 1;
                true
            }
            _ => true,
        }
    }
}
