//! Names that mean harm: a process and a cgroup may call themselves anything.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use probe::net::Namespace;

use crate::{
    actor::Actor,
    cgroups::Group,
    support::{Objects, Outcome, Probe, text},
    tracing,
};

/// Such names; the kernel keeps 15 bytes of one.
const NAMES: [&[u8]; 6] = [
    b"\x1b[2J\x1b[31mred",
    b"\x1b]0;title\x07",
    b"two\nlines\r\tx",
    b"\xff\xfe\xc3(\x80",
    "\u{202e}txt.exe".as_bytes(),
    b"\"},{\"pid\":1",
];

/// What is said of processes with such names.
fn trace(names: &[&[u8]], flags: &str) -> Outcome {
    let inside = Namespace::private().unwrap();
    let group = Group::new("\u{1b}[7m\u{202e}group");
    let mut running = Probe::new(&format!("trace --netns {} {flags}", inside.inode())).start();
    // A heading, or an object.
    running.wait_for_line("beginning", |line| line.starts_with("probe on ") || line.contains("ready"));
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
fn a_table_lets_none_of_it_through() {
    for view in ["", "--connections", "--only connect-failed,bind-failed"] {
        let outcome = trace(&NAMES, view);
        let harmful = |c: &char| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c);
        assert_eq!(outcome.stdout.chars().find(harmful), None, "{outcome}");
        assert!(outcome.stdout.contains(r"\u{1b}[2J"), "{outcome}");
        let polite = trace(&NAMES.map(|_| &b"polite"[..]), view);
        let lines =
            |outcome: &Outcome| outcome.stdout.lines().filter(|line| line.contains("127.0.0.1:")).count();
        assert_eq!(lines(&polite), lines(&outcome), "a name has made a line of its own: {outcome}");
    }
}

/// JSON has them as they are, but for what is not UTF-8.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn json_has_them_whole() {
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

/// A name can be asked for, byte by byte.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn they_can_be_asked_for() {
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
