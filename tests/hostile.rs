//! Names that mean harm: a process and a cgroup may call themselves anything.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use nix::sys::signal::Signal;
use probe::net::Namespace;

use crate::{
    actor::Actor,
    cgroups::Group,
    support::{Outcome, Probe},
    tracing,
};

/// No more than the kernel keeps of a name: 15 bytes.
const NAMES: [&[u8]; 6] = [
    b"\x1b[2J\x1b[31mred",
    b"\x1b]0;title\x07",
    b"two\nlines\r\tx",
    b"\xff\xfe\xc3(\x80",
    "\u{202e}txt.exe".as_bytes(),
    b"\"},{\"pid\":1",
];

/// What they do, while this trace looks on.
fn trace(flags: &str, expected: &str, ends: usize) -> Outcome {
    let inside = Namespace::private().unwrap();
    let group = Group::new("\u{1b}[7m\u{202e}group");
    let mut running = Probe::new(&format!("trace --netns {} {flags}", inside.inode())).start();
    running.wait_for_line("begin", |line| line.contains(expected));
    for name in NAMES {
        let actor = Actor::inside(&inside, "polite");
        actor.is_called(name);
        group.takes(&actor);
        actor.tries("connect c 127.0.0.1:9").unwrap_err();
        actor.tries("bind b 192.0.2.1:9").unwrap_err();
        actor.does("listen l 127.0.0.1:7000");
        actor.exits();
    }
    assert_eq!(ends, NAMES.len());
    running.signal(Signal::SIGINT);
    running.finish().exits(0).silently()
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_table_lets_none_of_it_through() {
    for view in ["", "--connections", "--only connect-failed,bind-failed"] {
        let outcome = trace(view, "probe on ", NAMES.len());
        let harmful = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert_eq!(outcome.stdout.chars().find(|c| harmful(*c)), None, "{outcome}");
        assert!(outcome.stdout.contains(r"\u{1b}[2J"), "{outcome}");
        let lines = trace(view, "probe on ", NAMES.len()).stdout.lines().count();
        assert_eq!(lines, outcome.stdout.lines().count(), "a name has made a line of its own: {outcome}");
    }
}
