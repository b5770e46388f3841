//! The columns of each view, and the layout of those that fit a width.

use super::super::super::view::View;

/// The space between two columns.
pub const GAP: usize = 2;

/// The width of the time column that the specifications below assume.
const TIME_WIDTH: usize = 10;

/// The least width of a table.
const MIN_WIDTH: usize = 20;

/// The content of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Time,
    Socket,
    /// The local port and the remote endpoint: the local address is one of this host's.
    Remote,
    /// Both endpoints.
    Endpoints,
    NewState,
    /// The old and the new state.
    States,
    Cause,
    Owner,
    /// The time spent in the old state.
    StateDuration,
    Uid,
    Netns,
    Cgroup,
    Cpu,
    Opened,
    Closed,
    /// The time from the connection's first transition to its last.
    Duration,
    Handshake,
    Sent,
    Received,
    Segments,
    Retransmits,
    Rtt,
    Finding,
}

/// A column of a view: when it is shown, and its width.
struct ColumnSpec {
    column: Column,
    heading: &'static str,
    /// The least table width with this column.
    from: usize,
    /// The table width from which another column replaces it.
    until: usize,
    min: usize,
    /// The width that the column gets before any grows beyond its own.
    preferred: usize,
    max: usize,
    align_right: bool,
}

/// A column of text. `shown` has `from` and `until`, `widths` has `min`, `preferred` and `max`.
const fn text(column: Column, heading: &'static str, shown: [usize; 2], widths: [usize; 3]) -> ColumnSpec {
    let ([from, until], [min, preferred, max]) = (shown, widths);
    ColumnSpec { column, heading, from, until, min, preferred, max, align_right: false }
}

/// A column of numbers, with a fixed width.
const fn number(column: Column, heading: &'static str, from: usize, width: usize) -> ColumnSpec {
    let (min, preferred, max) = (width, width, width);
    ColumnSpec { column, heading, from, until: MAX, min, preferred, max, align_right: true }
}

const MAX: usize = usize::MAX;

/// In the order in which they are shown. As the table gets narrower, they are dropped in descending order of `from`: first
/// those with the least information, or with information that another line or tool shows.
#[rustfmt::skip]
const TRANSITIONS: &[ColumnSpec] = &[
    //                                               from  until   min pref. max
    number(Column::Time,    "",                  23,               TIME_WIDTH),
    text(Column::Socket,    "socket",          [126, MAX], [ 9,  9,  9]),
    text(Column::Remote,    ":port → remote",  [ 47,  112], [22, 25, 31]),
    text(Column::Endpoints, "local → remote",  [112, MAX], [36, 39, 45]),
    text(Column::NewState,       "state",           [  0,   96], [11, 11, 11]),
    text(Column::States,      "old → new",       [ 96, MAX], [25, 25, 25]),
    text(Column::Cause,     "cause",           [ 61, MAX], [12, 27, 44]),
    text(Column::Owner,     "owner",           [ 75, MAX], [12, 14, 26]),
    number(Column::StateDuration, "in old",            150,                  8),
    number(Column::Uid,     "uid",              158,                  5),
    number(Column::Netns,   "netns",            170,                 10),
    text(Column::Cgroup,    "cgroup",          [186, MAX], [12, 12, 24]),
    number(Column::Cpu,     "cpu",              194,                  3),
];

/// As [`TRANSITIONS`].
#[rustfmt::skip]
const CONNECTIONS: &[ColumnSpec] = &[
    //                                               from  until   min pref. max
    number(Column::Time,        "",                24,               TIME_WIDTH),
    text(Column::Socket,        "socket",        [168, MAX], [ 9,  9,  9]),
    text(Column::Owner,         "owner",         [ 38, MAX], [12, 14, 26]),
    text(Column::Remote,        ":port → remote",[ 62,  118], [22, 25, 31]),
    text(Column::Endpoints,     "local → remote",[118, MAX], [36, 39, 45]),
    text(Column::Opened,        "opened",        [104, MAX], [ 7,  7, 12]),
    text(Column::Closed,        "closed",        [  0, MAX], [12, 27, 44]),
    number(Column::Duration,    "duration",        75,                  8),
    number(Column::Handshake,   "handshake",      128,                  9),
    number(Column::Sent,        "sent",            92,                  7),
    number(Column::Received,    "received",        92,                  8),
    number(Column::Segments,    "segs out/in",    160,                 11),
    number(Column::Retransmits, "retr",           134,                  4),
    number(Column::Rtt,         "srtt",           144,                  7),
    number(Column::Uid,         "uid",            178,                  5),
    number(Column::Netns,       "netns",          190,                 10),
    text(Column::Cgroup,        "cgroup",        [204, MAX], [12, 12, 24]),
];

/// As [`TRANSITIONS`].
const FINDINGS: &[ColumnSpec] =
    &[number(Column::Time, "", 23, TIME_WIDTH), text(Column::Finding, "finding", [0, MAX], [11, 11, MAX])];

/// A column of a layout.
#[derive(Debug, PartialEq, Eq)]
pub struct LayoutColumn {
    pub column: Column,
    pub heading: &'static str,
    /// The offset of its left edge.
    pub start: usize,
    pub width: usize,
    pub align_right: bool,
}

/// The columns that fit a width.
#[derive(Debug)]
pub struct Layout {
    pub columns: Vec<LayoutColumn>,
    /// The width of the table.
    pub width: usize,
}

impl Layout {
    /// The columns of a view that fit `width`, if the time column is `time` wide.
    pub fn of(view: View, width: usize, time: usize) -> Self {
        let width = width.max(MIN_WIDTH);
        let specs = match view {
            View::Transitions => TRANSITIONS,
            View::Connections => CONNECTIONS,
            View::Findings => FINDINGS,
        };
        let available = width.saturating_sub(time - TIME_WIDTH);
        let shown: Vec<&ColumnSpec> =
            specs.iter().filter(|spec| (spec.from..spec.until).contains(&available)).collect();
        let widths = grow(&shown, available);
        let mut start = 0;
        let columns = shown.iter().zip(widths).map(|(spec, width)| {
            let width = if spec.column == Column::Time { time } else { width };
            let ColumnSpec { column, heading, align_right, .. } = **spec;
            let laid_out = LayoutColumn { column, heading, start, width, align_right };
            start += width + GAP;
            laid_out
        });
        Self { columns: columns.collect(), width }
    }

    /// The offset of the first column after the time.
    pub fn indent(&self) -> usize {
        match self.columns.first() {
            Some(first) if first.column == Column::Time => first.width + GAP,
            _ => 0,
        }
    }

    /// The offset of the right edge of the last column.
    pub fn end(&self) -> usize {
        self.columns.last().map_or(0, |last| last.start + last.width).min(self.width)
    }
}

/// The widths of the columns: the minimum, increased to the preferred width one column after the other while there is room,
/// then evenly.
fn grow(shown: &[&ColumnSpec], available: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = shown.iter().map(|spec| spec.min).collect();
    let gaps = GAP * widths.len().saturating_sub(1);
    let mut left = available.saturating_sub(widths.iter().sum::<usize>() + gaps);
    for (width, spec) in widths.iter_mut().zip(shown) {
        let more = left.min(spec.preferred - *width);
        *width += more;
        left -= more;
    }
    loop {
        let growing = widths.iter_mut().zip(shown).filter(|(width, spec)| **width < spec.max).take(left);
        let more = growing.map(|(width, _)| *width += 1).count();
        if more == 0 {
            return widths;
        }
        left -= more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEWS: [View; 3] = [View::Transitions, View::Connections, View::Findings];

    #[test]
    fn every_layout_fits_its_width() {
        for width in 20..400 {
            for (view, time) in VIEWS.into_iter().flat_map(|view| [(view, 10), (view, 15)]) {
                let layout = Layout::of(view, width, time);
                let last = layout.columns.last().expect("at least one column");
                assert!(last.start + last.width <= width, "{view:?} at {width}: {layout:?}");
            }
        }
    }

    #[test]
    fn a_wider_table_has_no_fewer_columns() {
        for view in VIEWS {
            let shown = |width| Layout::of(view, width, 10).columns.len();
            assert!((20..400).all(|width| shown(width) <= shown(width + 1)), "{view:?}");
        }
    }

    #[test]
    fn the_most_important_columns_fit_80() {
        let shown = |view, time| -> Vec<Column> {
            Layout::of(view, 80, time).columns.iter().map(|column| column.column).collect()
        };
        use Column::*;
        for time in [10, 15] {
            assert_eq!(shown(View::Transitions, time), [Time, Remote, NewState, Cause, Owner]);
            assert_eq!(shown(View::Connections, time), [Time, Owner, Remote, Closed, Duration]);
        }
    }
}
