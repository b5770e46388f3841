//! The table of a trace.

use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;

use super::*;
use crate::{
    model::{SocketId, SocketIdentity, State, TimeWaitEntry},
    render::{
        Render as _, Table,
        testing::{self, Stream, TestSocket, call},
    },
};

mod arbitrary;

fn shown(events: impl IntoIterator<Item = Output>, style: Style, view: View, time: TimeFormat) -> String {
    let mut table = Table::new(style, view, time);
    let mut out = Vec::new();
    for event in events {
        table.render(&event, &mut out).expect("a Vec accepts every write");
    }
    String::from_utf8(out).expect("UTF-8")
}

fn plain(width: usize) -> Style {
    Style { width, colour: false }
}

/// A whole trace.
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
fn findings_only() {
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
fn causes_have_the_colours_of_their_kinds() {
    let style = Style { width: 140, colour: true };
    let text = shown(trace(), style, View::Transitions, TimeFormat::Elapsed);
    insta::assert_snapshot!("colour", text.replace('\x1b', "␛"));
}

#[test]
fn every_event_writes_its_line_at_once() {
    let mut table = Table::new(plain(80), View::Transitions, TimeFormat::Elapsed);
    let mut out = Vec::new();
    let client = TestSocket::new(1, "127.0.0.1:1", "127.0.0.1:2");
    let mut stream = Stream::default();
    for lines in 4..9 {
        stream.transition(&client, 1, State::Close, State::SynSent, call("connect"));
        let event = stream.events.last().expect("the event just added");
        table.render(event, &mut out).expect("a Vec accepts every write");
        // With an empty line, the headings and the rule below them.
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), lines);
    }
}

#[test]
fn a_line_that_is_too_long_does_not_shift_the_next_one() {
    let near = TestSocket::new(1, "127.0.0.1:40001", "127.0.0.1:80");
    let far = TestSocket::new(2, "127.0.0.1:40001", "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535");
    let mut stream = Stream::default();
    for socket in [&near, &far, &near] {
        stream.transition(socket, 1, State::Close, State::SynSent, call("connect"));
    }
    let text = shown(stream.events, plain(80), View::Transitions, TimeFormat::Delta);
    let lines: Vec<&str> = text.lines().skip(3).collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0][10..], lines[3][10..]);
    assert_eq!(lines[2].trim_start(), "→ [2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535");
}

#[test]
fn lines_after_a_scenario_have_a_new_header() {
    let client = TestSocket::new(1, "127.0.0.1:1", "127.0.0.1:2");
    let mut stream = Stream::default();
    stream.transition(&client, 1, State::Close, State::SynSent, call("connect"));
    stream.start("x", "Something.").finish("x", crate::model::Verdict::Passed);
    stream.transition(&client, 1, State::SynSent, State::Close, None);
    let text = shown(stream.events, plain(80), View::Transitions, TimeFormat::Elapsed);
    assert_eq!(text.matches(":port → remote").count(), 2, "{text}");
}

/// The TIME_WAITs of `number` connections.
fn time_waits(owner: &crate::model::Owner, local: &str, remote: &str, number: u64) -> Vec<Output> {
    let entry = TimeWaitEntry {
        at: Mono(1),
        socket: SocketId { number: 1, generation: 1 },
        identity: SocketIdentity::tcp(None, testing::endpoints(local, remote)),
        state: Some(State::TimeWait),
        until: None,
        owner: owner.clone(),
    };
    (0..number).map(|_| Output::TimeWaitEntry(entry.clone())).collect()
}

#[test]
fn time_waits_are_summarized_by_owner_and_service() {
    use crate::model::Known::{Exact, Listener};
    let mut events = vec![testing::ready()];
    for pid in 1..=3 {
        let curl = testing::owner(pid, b"curl", Exact);
        events.extend(time_waits(&curl, "10.0.0.1:40001", "10.0.0.2:80", 400 * u64::from(pid)));
    }
    for port in 50_000..50_020 {
        let nginx = testing::owner(812, b"nginx", Listener);
        events.extend(time_waits(&nginx, "10.0.0.1:443", &format!("10.0.0.7:{port}"), 1));
    }
    for port in 1..=14 {
        let scan = testing::owner(9, b"scan", Exact);
        events.extend(time_waits(&scan, "10.0.0.1:40001", &format!("10.0.0.8:{port}"), 1));
    }
    events.push(testing::trace_end());
    let text = shown(events, plain(80), View::Findings, TimeFormat::Elapsed);
    insta::assert_snapshot!("time_wait_summary", text);
}

#[test]
fn the_time_column_grows_with_the_duration_of_the_trace() {
    let client = TestSocket::new(1, "127.0.0.1:40001", "127.0.0.1:80");
    let mut stream = Stream::default();
    stream.transition(&client, 0, State::Close, State::SynSent, call("connect"));
    let days = Duration::from_secs(100 * 86_400).as_micros() as u64;
    stream.transition(&client, days, State::SynSent, State::Close, call("close"));
    let text = shown(stream.events, plain(80), View::Transitions, TimeFormat::Elapsed);
    let lines: Vec<&str> = text.lines().collect();
    // The columns are laid out again, below a new header.
    let [.., before, "", headings, _, after] = lines[..] else { panic!("{text}") };
    assert!(
        before.starts_with("     0.000  :40001") && after.starts_with("8640000000.000  :40001"),
        "{text}"
    );
    let offset = |line: &str, text: &str| line.find(text).map(|byte| line[..byte].width());
    assert_eq!(offset(headings, "owner"), offset(after, "probe[4711]"), "{text}");
}

proptest::proptest! {
    #[test]
    fn no_line_is_too_wide_and_no_control_character_gets_through(
        events in proptest::collection::vec(arbitrary::event(), 1..6),
        width in 80..260_usize,
        view in arbitrary::view(),
        time in arbitrary::time(),
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
