//! Hostile names of processes and cgroups: escape sequences, newlines, invalid UTF-8, writing direction, JSON.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use probe::net::Namespace;

use crate::{
    actor::Actor,
    cgroups::Group,
    support::{Objects, Outcome, Probe, text},
    tracing,
};

/// Hostile process names; the kernel stores 15 bytes of each.
const NAMES: [&[u8]; 6] = [
    b"\x1b[2J\x1b[31mred",
    b"\x1b]0;title\x07",
    b"two\nlines\r\tx",
    b"\xff\xfe\xc3(\x80",
    "\u{202e}txt.exe".as_bytes(),
    b"\"},{\"pid\":1",
];

/// A trace of processes with these names.
fn trace(names: &[&[u8]], flags: &str) -> Outcome {
    let inside = Namespace::private().unwrap();
    let group = Group::new("\u{1b}[7m\u{202e}group");
    let mut running = Probe::new(&format!("trace --netns {} {flags}", inside.inode())).start();
    // The heading of a table, or the `ready` object.
    running.wait_for_line("start", |line| line.starts_with("probe on ") || line.contains("ready"));
    for name in names {
        let actor = Actor::inside(&inside, "polite");
        actor.is_called(name);
        group.takes(&actor);
        actor.tries("connect c 127.0.0.1:9").unwrap_err();
        actor.tries("bind b 192.0.2.1:9").unwrap_err();
        actor.does("listen l 127.0.0.1:7000");
        actor.exits();
    }
    running.signal(Signal::SIGINT);
    running.finish().exits(0).silently()
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_table_escapes_hostile_names() {
    for view in ["", "--connections", "--only connect-failed,bind-failed"] {
        let outcome = trace(&NAMES, view);
        let is_harmful = |c: &char| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c);
        assert_eq!(outcome.stdout.chars().find(is_harmful), None, "{outcome}");
        assert!(outcome.stdout.contains(r"\u{1b}[2J"), "{outcome}");
        let polite = trace(&NAMES.map(|_| &b"polite"[..]), view);
        let lines =
            |outcome: &Outcome| outcome.stdout.lines().filter(|line| line.contains("127.0.0.1:")).count();
        assert_eq!(lines(&polite), lines(&outcome), "a name added a line: {outcome}");
    }
}

/// JSON keeps names unchanged, except that invalid UTF-8 is replaced.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn json_keeps_hostile_names() {
    for view in ["", "--connections", "--only connect-failed,bind-failed"] {
        let objects = tracing::checked(trace(&NAMES, &format!("--format json {view}")).objects());
        assert_eq!(names(&objects), expected(), "{view}");
        let owners = || objects.iter().filter_map(|object| object.get("owner"));
        let paths: BTreeSet<_> = owners().filter_map(|owner| owner["cgroup_path"].as_str()).collect();
        assert!(paths.iter().any(|path| path.ends_with("\u{1b}[7m\u{202e}group")), "{paths:?}");
    }
}

fn names(objects: &Objects) -> BTreeSet<String> {
    let owners = objects.iter().filter_map(|object| object.get("owner"));
    owners.map(|owner| text(&owner["comm"]).to_owned()).collect()
}

fn expected() -> BTreeSet<String> {
    NAMES.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

/// `--comm` matches byte by byte.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_hostile_name_can_be_filtered_for() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    for name in NAMES {
        let inside = Namespace::private().unwrap();
        let probe = tracing::trace_of("--comm", &[]).arg(OsStr::from_bytes(name));
        let running = tracing::begin_with(probe.arg("--netns").arg(inside.inode().to_string()));
        for other in [name, b"polite"] {
            let actor = Actor::inside(&inside, "polite");
            actor.is_called(other);
            actor.tries("connect c 127.0.0.1:9").unwrap_err();
        }
        let objects = tracing::end(running);
        assert_eq!(names(&objects), BTreeSet::from([String::from_utf8_lossy(name).into_owned()]));
        assert_eq!(objects.of("transition").count(), 2);
    }
}
