//! Compares two observations: which paths and facts differ, and in which part.

use similar::{Algorithm, ChangeTag, capture_diff_slices};

use crate::model::{Observation, State, path_text};

/// A path or fact in which two observations differ.
#[derive(Debug, PartialEq, Eq)]
pub struct Mismatch<'a> {
    /// The socket's label, or the fact's name.
    pub name: &'a str,
    /// The value in each observation; `None` if it has none of that name.
    pub values: [Option<Vec<Chunk>>; 2],
}

/// A part of a path, or a whole value.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Whether the other observation does not have this part.
    pub is_unique: bool,
    pub text: String,
}

/// Replaces a value that one of the observations does not have.
pub const ABSENT: &str = "(none)";

/// Separates two parts of a path.
pub const ARROW: &str = " → ";

/// The differences between two observations, paths first.
pub fn mismatches<'a>(a: &'a Observation, b: &'a Observation) -> Vec<Mismatch<'a>> {
    let paths = differing(&a.paths, &b.paths).map(|(name, a, b)| {
        let values = match (a, b) {
            (Some(a), Some(b)) => chunks(a, b).map(Some),
            (a, b) => [a, b].map(|path| path.map(|path| whole(path_text(path)))),
        };
        Mismatch { name, values }
    });
    let facts = differing(&a.facts, &b.facts).map(|(name, a, b)| Mismatch {
        name,
        values: [a, b].map(|value| value.map(|value| whole(value.clone()))),
    });
    paths.chain(facts).collect()
}

/// All paths and facts of an observation as text.
pub fn entries(observation: &Observation) -> impl Iterator<Item = (&str, String)> {
    let paths = observation.paths.iter().map(|(label, path)| (label.as_str(), path_text(path)));
    paths.chain(observation.facts.iter().map(|(name, value)| (name.as_str(), value.clone())))
}

impl Chunk {
    /// The chunks as one line. Unique ones are in brackets, because the terminal may have no colours, unless there is only one
    /// chunk.
    pub fn join(chunks: &[Self]) -> String {
        let is_single = chunks.len() == 1;
        let texts = chunks.iter().map(|chunk| match chunk.is_unique && !is_single {
            true => format!("[{}]", chunk.text),
            false => chunk.text.clone(),
        });
        texts.collect::<Vec<_>>().join(ARROW)
    }
}

fn whole(text: String) -> Vec<Chunk> {
    vec![Chunk { is_unique: true, text }]
}

/// The names with different values in two lists, in the order of the first, then those that only the second has.
fn differing<'a, T: PartialEq>(
    a: &'a [(String, T)],
    b: &'a [(String, T)],
) -> impl Iterator<Item = (&'a str, Option<&'a T>, Option<&'a T>)> {
    let find = |name: &str, values: &'a [(String, T)]| {
        values.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    };
    let only_b = b.iter().filter(move |(name, _)| find(name, a).is_none());
    a.iter()
        .chain(only_b)
        .map(move |(name, _)| (name.as_str(), find(name, a), find(name, b)))
        .filter(|(_, a, b)| a != b)
}

/// Both paths as chunks: common ones and unique ones.
fn chunks(a: &[State], b: &[State]) -> [Vec<Chunk>; 2] {
    let ops = capture_diff_slices(Algorithm::Myers, a, b);
    let mut paths = [Vec::new(), Vec::new()];
    for (tag, a, b) in ops.iter().flat_map(|op| op.iter_slices(a, b)).map(|(tag, part)| match tag {
        ChangeTag::Equal => (tag, Some(part), Some(part)),
        ChangeTag::Delete => (tag, Some(part), None),
        ChangeTag::Insert => (tag, None, Some(part)),
    }) {
        for (path, part) in paths.iter_mut().zip([a, b]) {
            let is_unique = tag != ChangeTag::Equal;
            path.extend(part.map(|part| Chunk { is_unique, text: path_text(part) }));
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use State::{Close, Established, SynRecv, SynSent};
    use proptest::{collection, sample::select, strategy::Strategy};

    use super::*;
    use crate::model::testing::observation;

    /// Both lines of the first mismatch.
    fn lines_of(a: &[State], b: &[State]) -> [String; 2] {
        let (a, b) = (observation(&[("a", a)], &[]), observation(&[("a", b)], &[]));
        let mismatches = mismatches(&a, &b);
        mismatches[0].values.each_ref().map(|chunks| Chunk::join(chunks.as_deref().expect("a value in both")))
    }

    #[test]
    fn unique_parts_of_a_path_are_in_brackets() {
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
    fn equal_values_are_no_mismatch() {
        let one = observation(&[("a", &[Close, SynSent])], &[("connect", "success")]);
        assert_eq!(mismatches(&one, &one), []);
        let other = observation(&[], &[("connect", "success"), ("bind", "EADDRINUSE")]);
        let names: Vec<_> = mismatches(&one, &other).into_iter().map(|mismatch| mismatch.name).collect();
        assert_eq!(names, ["a", "bind"]);
    }

    /// An arbitrary path, legal or not.
    fn path() -> impl Strategy<Value = Vec<State>> {
        collection::vec(select(&[Close, SynSent, SynRecv, Established][..]), 1..8)
    }

    proptest::proptest! {
        #[test]
        fn chunks_make_up_the_paths_and_common_ones_are_equal(a in path(), b in path()) {
            let both = chunks(&a, &b);
            for (chunks, path) in both.iter().zip([&a, &b]) {
                let whole: Vec<_> = chunks.iter().map(|chunk| chunk.text.as_str()).collect();
                proptest::prop_assert_eq!(whole.join(ARROW), path_text(path));
            }
            let common = |chunks: &[Chunk]| -> Vec<String> {
                chunks.iter().filter(|chunk| !chunk.is_unique).map(|chunk| chunk.text.clone()).collect()
            };
            proptest::prop_assert_eq!(common(&both[0]).join(ARROW), common(&both[1]).join(ARROW));
        }
    }
}
