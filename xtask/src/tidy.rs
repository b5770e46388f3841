//! Repository rules as tests: what each part of the code may use, and how files start.
//!
//! To add a rule, add a line to a table.

mod code;
mod imports;

use std::{
    fs,
    path::{Path, PathBuf},
};

use self::imports::Modules;
use crate::workspace;

/// Words that only some parts of the tree may use.
struct Reserved {
    words: &'static [&'static str],
    /// Where the rule applies.
    within: &'static [&'static str],
    /// The exceptions within.
    except: &'static [&'static str],
    because: &'static str,
}

/// The pure parts: no I/O, no clock, not async.
const PURE: &[&str] = &["probe/src/model", "probe/src/track", "probe/src/detect"];

#[rustfmt::skip]
const RESERVED: &[Reserved] = &[
    Reserved { words: &["aya", "aya_log", "aya_build"], within: &["probe", "tests"], except: &["probe/src/source/live", "probe/build.rs"], because: "only source::live names aya" },
    Reserved { words: &["Serialize", "Deserialize"], within: &["probe", "tests"], except: &["probe/src/record"], because: "only record derives serde" },
    Reserved { words: &["unsafe"], within: &["probe", "tests", "xtask"], except: &["probe/src/os", "probe/src/net", "probe/src/source/live"], because: "only os, net and source::live are unsafe" },
    Reserved { words: &["fs", "File", "TcpStream", "TcpListener", "UdpSocket", "socket2"], within: PURE, except: &[], because: "they do no I/O" },
    Reserved { words: &["Instant", "SystemTime"], within: PURE, except: &[], because: "they read no clock" },
    Reserved { words: &["tokio", "async", "await"], within: PURE, except: &[], because: "they are not async" },
    Reserved { words: &["sleep"], within: &["tests"], except: &[], because: "a test waits for an event, with a deadline" },
];

/// The other modules that each module of probe may use: only those below it.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("track", &["model"]),
    ("detect", &["model"]),
    ("record", &["model"]),
    ("os", &["model"]),
    ("net", &["model", "os"]),
    ("wire", &["model", "os", "net"]),
    ("source", &["model", "record", "os", "net"]),
    ("doctor", &["model", "os", "net", "source"]),
    ("scenario", &["model", "os", "net", "wire"]),
    ("audit", &["model", "os", "net", "wire", "scenario"]),
    ("render", &["model", "record"]),
    (
        "session",
        &["model", "track", "detect", "record", "os", "net", "wire", "source", "scenario", "audit", "render"],
    ),
];

/// The parts whose modules must not import each other in a circle, with the directory of their crate root.
const ACYCLIC: &[(&str, &str)] = &[
    ("probe-ebpf/src", "probe-ebpf/src"),
    ("probe/src", "probe/src/detect"),
    ("probe/src", "probe/src/source"),
];

/// A Rust file of the repository.
struct Source {
    /// Its path relative to the root.
    path: String,
    text: String,
}

impl Source {
    /// Whether the file belongs to `part`: `a/b` contains `a/b.rs` and `a/b/c.rs`.
    fn is_in(&self, part: &str) -> bool {
        self.path
            .strip_prefix(part)
            .is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
    }
}

#[test]
fn files_begin_with_module_docs() {
    let undocumented = sources().into_iter().filter(|source| !source.text.starts_with("//!"));
    report(undocumented.map(|source| format!("{} does not begin with `//!`", source.path)));
}

#[test]
fn reserved_words_stay_in_their_parts() {
    report(sources().iter().flat_map(misplaced_words));
}

#[test]
fn modules_use_only_lower_layers() {
    report(sources().iter().flat_map(misplaced_uses));
}

#[test]
fn modules_do_not_import_each_other_in_a_circle() {
    let sources = sources();
    report(ACYCLIC.iter().filter_map(|(root, part)| {
        let mut modules = Modules::default();
        for source in sources.iter().filter(|source| source.is_in(part)) {
            modules.add(source.path[root.len()..].trim_start_matches('/'), &source.text);
        }
        let circle = modules.in_circles();
        (!circle.is_empty()).then(|| format!("{part}: modules import each other: {}", circle.join(", ")))
    }));
}

fn misplaced_words(source: &Source) -> Vec<String> {
    let applies = |rule: &&Reserved| {
        rule.within.iter().any(|part| source.is_in(part))
            && !rule.except.iter().any(|part| source.is_in(part))
    };
    let code = code::code_of(&source.text);
    let mut misplaced = Vec::new();
    for rule in RESERVED.iter().filter(applies) {
        let found = code::words(&code).filter(|(_, word)| rule.words.contains(word));
        misplaced
            .extend(found.map(|(line, word)| format!("{}:{line}: `{word}`: {}", source.path, rule.because)));
    }
    misplaced
}

fn misplaced_uses(source: &Source) -> Vec<String> {
    let Some((module, below)) =
        LAYERS.iter().find(|(module, _)| source.is_in(&format!("probe/src/{module}")))
    else {
        return Vec::new();
    };
    let code = code::code_of(&source.text);
    code::modules_named(&code)
        .into_iter()
        .filter(|used| used != module && !below.contains(used))
        .map(|used| format!("{}: `{module}` uses `{used}`, which is not below it", source.path))
        .collect()
}

/// All Rust files of the repository.
fn sources() -> Vec<Source> {
    let root = workspace::root();
    let mut sources = Vec::new();
    for part in ["probe", "probe-ebpf", "tests", "xtask"] {
        visit(&root.join(part), &mut |path| {
            let text = fs::read_to_string(path).expect("source files are UTF-8");
            let path = path.strip_prefix(&root).expect("it is in the workspace");
            sources.push(Source { path: path.to_str().expect("paths are UTF-8").to_owned(), text });
        });
    }
    assert!(sources.len() > 10, "the sources were not found");
    sources
}

fn visit(directory: &Path, found: &mut impl FnMut(&Path)) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            visit(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found(&path);
        }
    }
}

/// Fails with all violations, one per line.
#[track_caller]
fn report(violations: impl Iterator<Item = String>) {
    let violations: Vec<String> = violations.collect();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn the_rules_can_fail() {
    let pure = Source {
        path: "probe/src/detect/stuck.rs".into(),
        text: "//! Now.\nuse std::time::Instant;\nuse crate::{model::Event, session::Session};\n".into(),
    };
    assert_eq!(misplaced_words(&pure), ["probe/src/detect/stuck.rs:2: `Instant`: they read no clock"]);
    assert_eq!(
        misplaced_uses(&pure),
        ["probe/src/detect/stuck.rs: `detect` uses `session`, which is not below it"]
    );
    let elsewhere = Source { path: "probe/src/session/mod.rs".into(), text: pure.text };
    assert!(misplaced_words(&elsewhere).is_empty());
    assert!(misplaced_uses(&elsewhere).is_empty());
}
