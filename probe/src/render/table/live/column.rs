//! The columns: which there are, and how many of them fit.

use super::super::super::view::View;

/// Between two columns.
pub const GAP: usize = 2;

/// The room for a time that the tables below reckon with.
const TIME: usize = 10;

/// Narrower than this nothing is laid out.
const NARROWEST: usize = 20;

/// What a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Time,
    Socket,
    /// The local port and the remote end: the local address is this host's.
    Remote,
    /// Both ends.
    Ends,
    /// The state entered.
    New,
    /// The state left and the state entered.
    Edge,
    Cause,
    Owner,
    /// The time in the state left.
    Since,
    Uid,
    Netns,
    Cgroup,
    Cpu,
    Opened,
    Closed,
    /// The connection's, from its first transition to its last.
    Duration,
    Handshake,
    Sent,
    Received,
    Segments,
    Retransmits,
    Rtt,
    Finding,
}

/// A column of a view.
struct Spec {
    column: Column,
    name: &'static str,
    /// From this width of the table on it is shown…
    from: usize,
    /// …and from this one on no more, since another one says it better.
    until: usize,
    /// So wide it is at least, …
    least: usize,
    /// …so wide where there is some room, …
    good: usize,
    /// …and wider than this never.
    most: usize,
    /// Whether it is a number.
    right: bool,
}

/// A column of words, shown from one width to another. Its widths: least, good, most.
const fn text(column: Column, name: &'static str, shown: [usize; 2], wide: [usize; 3]) -> Spec {
    let ([from, until], [least, good, most]) = (shown, wide);
    Spec { column, name, from, until, least, good, most, right: false }
}

/// A column of numbers, which does not grow.
const fn number(column: Column, name: &'static str, from: usize, wide: usize) -> Spec {
    Spec { column, name, from, until: EVER, least: wide, good: wide, most: wide, right: true }
}

const EVER: usize = usize::MAX;

/// In the order in which they stand. The order in which they are dropped is that of `from`, the
/// greatest first: what tells least, or can be asked of another line or another tool.
#[rustfmt::skip]
const TRANSITIONS: &[Spec] = &[
    //                                         from  until   least good most
    number(Column::Time,    "",                  23,               TIME),
    text(Column::Socket,    "socket",          [126, EVER], [ 9,  9,  9]),
    text(Column::Remote,    ":port → remote",  [ 47,  112], [22, 25, 31]),
    text(Column::Ends,      "local → remote",  [112, EVER], [36, 39, 45]),
    text(Column::New,       "state",           [  0,   96], [11, 11, 11]),
    text(Column::Edge,      "old → new",       [ 96, EVER], [25, 25, 25]),
    text(Column::Cause,     "cause",           [ 61, EVER], [12, 27, 44]),
    text(Column::Owner,     "owner",           [ 75, EVER], [12, 14, 26]),
    number(Column::Since,   "after",            150,                  8),
    number(Column::Uid,     "uid",              158,                  5),
    number(Column::Netns,   "netns",            170,                 10),
    text(Column::Cgroup,    "cgroup",          [186, EVER], [12, 12, 24]),
    number(Column::Cpu,     "cpu",              194,                  3),
];

/// As [`TRANSITIONS`].
#[rustfmt::skip]
const CONNECTIONS: &[Spec] = &[
    //                                           from  until   least good most
    number(Column::Time,        "",                24,               TIME),
    text(Column::Socket,        "socket",        [168, EVER], [ 9,  9,  9]),
    text(Column::Owner,         "owner",         [ 38, EVER], [12, 14, 26]),
    text(Column::Remote,        ":port → remote",[ 62,  118], [22, 25, 31]),
    text(Column::Ends,          "local → remote",[118, EVER], [36, 39, 45]),
    text(Column::Opened,        "opened",        [104, EVER], [ 7,  7, 12]),
    text(Column::Closed,        "closed",        [  0, EVER], [12, 27, 44]),
    number(Column::Duration,    "duration",        75,                  8),
    number(Column::Handshake,   "handshake",      128,                  9),
    number(Column::Sent,        "sent",            92,                  7),
    number(Column::Received,    "received",        92,                  8),
    number(Column::Segments,    "segs out/in",    160,                 11),
    number(Column::Retransmits, "retr",           134,                  4),
    number(Column::Rtt,         "srtt",           144,                  7),
    number(Column::Uid,         "uid",            178,                  5),
    number(Column::Netns,       "netns",          190,                 10),
    text(Column::Cgroup,        "cgroup",        [204, EVER], [12, 12, 24]),
];

/// As [`TRANSITIONS`].
const FINDINGS: &[Spec] =
    &[number(Column::Time, "", 23, TIME), text(Column::Finding, "finding", [0, EVER], [11, 11, EVER])];

/// A column in its place.
#[derive(Debug, PartialEq, Eq)]
pub struct Placed {
    pub column: Column,
    pub name: &'static str,
    /// Where it begins.
    pub at: usize,
    pub width: usize,
    /// Whether it is aligned to the right.
    pub right: bool,
}

/// The columns that a width has room for.
#[derive(Debug)]
pub struct Layout {
    pub columns: Vec<Placed>,
    /// No line is wider.
    pub width: usize,
}

impl Layout {
    /// The columns of a view at this width, with so much room for the times.
    pub fn of(view: View, width: usize, time: usize) -> Self {
        let width = width.max(NARROWEST);
        let specs = match view {
            View::Transitions => TRANSITIONS,
            View::Connections => CONNECTIONS,
            View::Findings => FINDINGS,
        };
        let room = width.saturating_sub(time - TIME);
        let shown: Vec<&Spec> = specs.iter().filter(|spec| (spec.from..spec.until).contains(&room)).collect();
        let widths = grown(&shown, room);
        let mut at = 0;
        let columns = shown.into_iter().zip(widths).map(|(spec, width)| {
            let width = if spec.column == Column::Time { time } else { width };
            let placed = Placed { column: spec.column, name: spec.name, at, width, right: spec.right };
            at += width + GAP;
            placed
        });
        Self { columns: columns.collect(), width }
    }

    /// Where the columns after the time begin.
    pub fn indent(&self) -> usize {
        match self.columns.first() {
            Some(first) if first.column == Column::Time => first.width + GAP,
            _ => 0,
        }
    }

    /// How far the columns reach.
    pub fn end(&self) -> usize {
        self.columns.last().map_or(0, |last| last.at + last.width).min(self.width)
    }
}

/// The least widths, grown into the room that is left: one after the other until they are good, then
/// all alike.
fn grown(shown: &[&Spec], room: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = shown.iter().map(|spec| spec.least).collect();
    let gaps = GAP * widths.len().saturating_sub(1);
    let mut left = room.saturating_sub(widths.iter().sum::<usize>() + gaps);
    for (width, spec) in widths.iter_mut().zip(shown) {
        let more = left.min(spec.good - *width);
        *width += more;
        left -= more;
    }
    loop {
        let growing = widths.iter_mut().zip(shown).filter(|(width, spec)| **width < spec.most).take(left);
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
    fn what_is_shown_fits() {
        for width in 20..400 {
            for (view, time) in VIEWS.into_iter().flat_map(|view| [(view, 10), (view, 15)]) {
                let layout = Layout::of(view, width, time);
                let last = layout.columns.last().expect("there is always a column");
                assert!(last.at + last.width <= width, "{view:?} at {width}: {layout:?}");
            }
        }
    }

    #[test]
    fn a_wider_table_shows_no_less() {
        for view in VIEWS {
            let shown = |width| Layout::of(view, width, 10).columns.len();
            assert!((20..400).all(|width| shown(width) <= shown(width + 1)), "{view:?}");
        }
    }

    #[test]
    fn what_matters_most_fits_into_80_columns() {
        let shown = |view, time| -> Vec<Column> {
            Layout::of(view, 80, time).columns.iter().map(|placed| placed.column).collect()
        };
        use Column::*;
        for time in [10, 15] {
            assert_eq!(shown(View::Transitions, time), [Time, Remote, New, Cause, Owner]);
            assert_eq!(shown(View::Connections, time), [Time, Owner, Remote, Closed, Duration]);
        }
    }
}
