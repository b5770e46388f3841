//! Two sights held beside one another: where they part, and in what.

use similar::{Algorithm, ChangeTag, capture_diff_slices};

use crate::model::{Observation, State, path_text};

/// A name under which two sights differ.
#[derive(Debug, PartialEq, Eq)]
pub struct Gap<'a> {
    /// The socket's label, or the fact's name.
    pub name: &'a str,
    /// What each sight has; `None` where it has nothing of that name.
    pub sides: [Option<Vec<Run>>; 2],
}

/// A piece of a path, or a value as a whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    /// Whether the other sight has not got it.
    pub alone: bool,
    /// The piece.
    pub text: String,
}

/// What stands for the side that has nothing of a name.
pub const ABSENT: &str = "(not there)";

/// What stands between two pieces of a path.
pub const ARROW: &str = " → ";

/// Where two sights differ, paths first.
pub fn gaps<'a>(a: &'a Observation, b: &'a Observation) -> Vec<Gap<'a>> {
    let paths = differing(&a.paths, &b.paths).map(|(name, a, b)| {
        let sides = match (a, b) {
            (Some(a), Some(b)) => runs(a, b).map(Some),
            (a, b) => [a, b].map(|path| path.map(|path| whole(path_text(path)))),
        };
        Gap { name, sides }
    });
    let facts = differing(&a.facts, &b.facts)
        .map(|(name, a, b)| Gap { name, sides: [a, b].map(|value| value.map(|value| whole(value.clone()))) });
    paths.chain(facts).collect()
}

/// Everything that a sight has, as text.
pub fn lines(sight: &Observation) -> impl Iterator<Item = (&str, String)> {
    let paths = sight.paths.iter().map(|(label, path)| (label.as_str(), path_text(path)));
    paths.chain(sight.facts.iter().map(|(name, value)| (name.as_str(), value.clone())))
}

impl Run {
    /// The pieces as one line. Those that stand alone are in brackets, since not every terminal has colours, except
    /// where nothing else is there.
    pub fn line(runs: &[Self]) -> String {
        let only = runs.len() == 1;
        let pieces = runs.iter().map(|run| match run.alone && !only {
            true => format!("[{}]", run.text),
            false => run.text.clone(),
        });
        pieces.collect::<Vec<_>>().join(ARROW)
    }
}

fn whole(text: String) -> Vec<Run> {
    vec![Run { alone: true, text }]
}

/// The names under which two lists have different values, in the first one's order, and then what it has not.
fn differing<'a, T: PartialEq>(
    a: &'a [(String, T)],
    b: &'a [(String, T)],
) -> impl Iterator<Item = (&'a str, Option<&'a T>, Option<&'a T>)> {
    let of = |name: &str, all: &'a [(String, T)]| {
        all.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    };
    let more = b.iter().filter(move |(name, _)| of(name, a).is_none());
    a.iter()
        .chain(more)
        .map(move |(name, _)| (name.as_str(), of(name, a), of(name, b)))
        .filter(|(_, a, b)| a != b)
}

/// Both paths in pieces: what they have in common, and what one has alone.
fn runs(a: &[State], b: &[State]) -> [Vec<Run>; 2] {
    let ops = capture_diff_slices(Algorithm::Myers, a, b);
    let mut sides = [Vec::new(), Vec::new()];
    for (tag, a, b) in ops.iter().flat_map(|op| op.iter_slices(a, b)).map(|(tag, part)| match tag {
        ChangeTag::Equal => (tag, Some(part), Some(part)),
        ChangeTag::Delete => (tag, Some(part), None),
        ChangeTag::Insert => (tag, None, Some(part)),
    }) {
        for (side, part) in sides.iter_mut().zip([a, b]) {
            side.extend(part.map(|part| Run { alone: tag != ChangeTag::Equal, text: path_text(part) }));
        }
    }
    sides
}

#[cfg(test)]
mod tests {
    use State::{Close, Established, SynRecv, SynSent};
    use proptest::{collection, sample::select, strategy::Strategy};

    use super::*;
    use crate::model::testing::observation;

    /// Both lines of the first gap.
    fn lines_of(a: &[State], b: &[State]) -> [String; 2] {
        let (a, b) = (observation(&[("a", a)], &[]), observation(&[("a", b)], &[]));
        let gaps = gaps(&a, &b);
        gaps[0].sides.each_ref().map(|runs| Run::line(runs.as_deref().expect("both have it")))
    }

    #[test]
    fn what_one_path_has_alone_is_in_brackets() {
        assert_eq!(
            lines_of(&[Close, SynSent, SynRecv, Established], &[Close, SynSent, Established]),
            ["CLOSE → SYN_SENT → [SYN_RECV] → ESTABLISHED", "CLOSE → SYN_SENT → ESTABLISHED"]
        );
        assert_eq!(
            lines_of(&[Close, SynSent, Established], &[Close, SynSent, Close]),
            ["CLOSE → SYN_SENT → [ESTABLISHED]", "CLOSE → SYN_SENT → [CLOSE]"]
        );
    }

    #[test]
    fn what_is_the_same_is_no_gap() {
        let one = observation(&[("a", &[Close, SynSent])], &[("connect", "success")]);
        assert_eq!(gaps(&one, &one), []);
        let other = observation(&[], &[("connect", "success"), ("bind", "EADDRINUSE")]);
        let names: Vec<_> = gaps(&one, &other).into_iter().map(|gap| gap.name).collect();
        assert_eq!(names, ["a", "bind"]);
    }

    /// Any path, legal or not.
    fn path() -> impl Strategy<Value = Vec<State>> {
        collection::vec(select(&[Close, SynSent, SynRecv, Established][..]), 1..8)
    }

    proptest::proptest! {
        #[test]
        fn the_pieces_are_the_path_and_what_they_share_is_the_same(a in path(), b in path()) {
            let sides = runs(&a, &b);
            for (side, path) in sides.iter().zip([&a, &b]) {
                let whole: Vec<_> = side.iter().map(|run| run.text.as_str()).collect();
                proptest::prop_assert_eq!(whole.join(ARROW), path_text(path));
            }
            let shared = |side: &[Run]| -> Vec<String> {
                side.iter().filter(|run| !run.alone).map(|run| run.text.clone()).collect()
            };
            proptest::prop_assert_eq!(shared(&sides[0]).join(ARROW), shared(&sides[1]).join(ARROW));
        }
    }
}
