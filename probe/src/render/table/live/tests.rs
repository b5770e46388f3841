//! The table as it grows.

use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;

use super::*;
use crate::{
    model::{SocketId, State, TimeWaitEntry},
    render::{
        Render as _, Table,
        testing::{self, Actor, Stream, call},
    },
};

mod any;

fn shown(events: impl IntoIterator<Item = Output>, style: Style, view: View, time: TimeFormat) -> String {
    let mut table = Table::new(style, view, time);
    let mut out = Vec::new();
    for event in events {
        table.render(&event, &mut out).expect("memory takes everything");
    }
    String::from_utf8(out).expect("text")
}

fn plain(width: usize) -> Style {
    Style { width, colour: false }
}

/// The whole trace.
fn trace() -> Vec<Output> {
    let mut ready = testing::ready();
    if let Output::Ready { existing, .. } = &mut ready {
        *existing = Some(1_204);
    }
    [ready].into_iter().chain(testing::trace()).chain([testing::trace_end()]).collect()
}

#[test]
fn transitions_at_every_width() {
    for width in [60, 80, 100, 140, 220] {
        let text = shown(trace(), plain(width), View::Transitions, TimeFormat::Elapsed);
        insta::assert_snapshot!(format!("transitions_{width}"), text);
    }
}

#[test]
fn connections_at_every_width() {
    for width in [80, 100, 140, 220] {
        let text = shown(trace(), plain(width), View::Connections, TimeFormat::Elapsed);
        insta::assert_snapshot!(format!("connections_{width}"), text);
    }
}

#[test]
fn findings_alone() {
    for width in [80, 140] {
        let text = shown(trace(), plain(width), View::Findings, TimeFormat::Absolute);
        insta::assert_snapshot!(format!("findings_{width}"), text);
    }
}

#[test]
fn times_in_every_format() {
    for (name, time) in [("absolute", TimeFormat::Absolute), ("delta", TimeFormat::Delta)] {
        insta::assert_snapshot!(name, shown(trace(), plain(100), View::Transitions, time));
    }
}

#[test]
fn colours_tell_the_kinds_apart() {
    let style = Style { width: 140, colour: true };
    let text = shown(trace(), style, View::Transitions, TimeFormat::Elapsed);
    insta::assert_snapshot!("colour", text.replace('\x1b', "␛"));
}

#[test]
fn a_line_is_written_as_its_event_comes() {
    let mut table = Table::new(plain(80), View::Transitions, TimeFormat::Elapsed);
    let mut out = Vec::new();
    let client = Actor::new(1, "127.0.0.1:1", "127.0.0.1:2");
    let mut stream = Stream::default();
    for lines in 4..9 {
        stream.moves(&client, 1, State::Close, State::SynSent, call("connect"));
        let event = stream.events.last().expect("it just happened");
        table.render(event, &mut out).expect("memory takes everything");
        // An empty one, the names of the columns, and the rule below them.
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), lines);
    }
}

#[test]
fn a_line_that_is_too_long_leaves_the_next_one_alone() {
    let near = Actor::new(1, "127.0.0.1:40001", "127.0.0.1:80");
    let far = Actor::new(2, "127.0.0.1:40001", "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535");
    let mut stream = Stream::default();
    for actor in [&near, &far, &near] {
        stream.moves(actor, 1, State::Close, State::SynSent, call("connect"));
    }
    let text = shown(stream.events, plain(80), View::Transitions, TimeFormat::Delta);
    let lines: Vec<&str> = text.lines().skip(3).collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0][10..], lines[3][10..]);
    assert_eq!(lines[2].trim_start(), "→ [2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535");
}

#[test]
fn a_scenario_between_lines_gets_them_a_new_heading() {
    let client = Actor::new(1, "127.0.0.1:1", "127.0.0.1:2");
    let mut stream = Stream::default();
    stream.moves(&client, 1, State::Close, State::SynSent, call("connect"));
    stream.start("x", "Something.").finish("x", crate::model::Verdict::Passed);
    stream.moves(&client, 1, State::SynSent, State::Close, None);
    let text = shown(stream.events, plain(80), View::Transitions, TimeFormat::Elapsed);
    assert_eq!(text.matches(":port → remote").count(), 2, "{text}");
}

/// So many connections, each from a port of its own, leave the same behind.
fn leave(owner: &crate::model::Owner, local: &str, remote: &str, number: u64) -> Vec<Output> {
    let remains = TimeWaitEntry {
        at: Mono(1),
        socket: SocketId { number: 1, generation: 1 },
        netns: None,
        ends: testing::ends(local, remote),
        state: Some(State::TimeWait),
        until: None,
        owner: owner.clone(),
    };
    (0..number).map(|_| Output::TimeWaitEntry(remains.clone())).collect()
}

#[test]
fn who_left_what_behind() {
    use crate::model::Known::{Exact, Listener};
    let mut events = vec![testing::ready()];
    for pid in 1..=3 {
        let curl = testing::owner(pid, b"curl", Exact);
        events.extend(leave(&curl, "10.0.0.1:40001", "10.0.0.2:80", 400 * u64::from(pid)));
    }
    for port in 50_000..50_020 {
        let nginx = testing::owner(812, b"nginx", Listener);
        events.extend(leave(&nginx, "10.0.0.1:443", &format!("10.0.0.7:{port}"), 1));
    }
    for port in 1..=14 {
        let scan = testing::owner(9, b"scan", Exact);
        events.extend(leave(&scan, "10.0.0.1:40001", &format!("10.0.0.8:{port}"), 1));
    }
    events.push(testing::trace_end());
    let text = shown(events, plain(80), View::Findings, TimeFormat::Elapsed);
    insta::assert_snapshot!(text);
}

#[test]
fn what_lasts_for_days_is_still_told() {
    let client = Actor::new(1, "127.0.0.1:40001", "127.0.0.1:80");
    let mut stream = Stream::default();
    stream.moves(&client, 0, State::Close, State::SynSent, call("connect"));
    let days = Duration::from_secs(100 * 86_400).as_micros() as u64;
    stream.moves(&client, days, State::SynSent, State::Close, call("close"));
    let text = shown(stream.events, plain(80), View::Transitions, TimeFormat::Elapsed);
    let lines: Vec<&str> = text.lines().collect();
    // In columns that have the room, under their names.
    let [.., before, "", names, _, after] = lines[..] else { panic!("{text}") };
    assert!(
        before.starts_with("     0.000  :40001") && after.starts_with("8640000000.000  :40001"),
        "{text}"
    );
    let place = |line: &str, text: &str| line.find(text).map(|byte| line[..byte].width());
    assert_eq!(place(names, "owner"), place(after, "probe[4711]"), "{text}");
}

proptest::proptest! {
    #[test]
    fn no_line_is_too_wide_and_no_control_character_gets_through(
        events in proptest::collection::vec(any::event(), 1..6),
        width in 80..260_usize,
        view in any::view(),
        time in any::time(),
    ) {
        let all = [testing::ready()].into_iter().chain(events).chain([testing::trace_end()]);
        let text = shown(all, plain(width), view, time);
        for line in text.lines() {
            proptest::prop_assert!(line.width() <= width, "{width} < {}: {line}", line.width());
            proptest::prop_assert!(!line.ends_with(' '), "{line:?}");
        }
        proptest::prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text}");
    }
}
