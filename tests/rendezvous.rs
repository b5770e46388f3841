//! `probe rendezvous`: two processes, each in a network of its own, with a wire between them.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use nix::sys::signal::Signal;
use probe::{
    model::{Family, Segment, Side},
    net::{Namespace, Tcp},
    wire::{Link, Rule, Wire},
};
use serde_json::Value;

use crate::support::{Objects, PATIENCE, Probe, Running, text};

const DELAY: Duration = Duration::from_millis(40);
const PORT: u16 = 1314;

/// Time for a process to start in, on a machine that is busy with other things.
const START: Duration = Duration::from_secs(3);

const SIMULTANEOUS: &str = "simultaneous here: CLOSE → SYN_SENT → SYN_RECV → ESTABLISHED";

/// Two hosts with a wire between them.
struct Hosts {
    namespaces: [Namespace; 2],
    link: Link,
    wire: Wire,
}

impl Hosts {
    fn new(family: Family) -> Self {
        let namespaces = [(); 2].map(|()| Namespace::private().unwrap());
        let link = Link::new(family).delay(DELAY);
        let wire = Wire::between(&namespaces[0], &namespaces[1], link).unwrap();
        Self { namespaces, link, wire }
    }

    /// The tool at one side, to meet the other.
    fn start(&self, side: Side, flags: &str) -> Running {
        let [local, peer] = [side, side.peer()].map(|side| self.link.at(side, PORT));
        let probe = Probe::new(&format!("rendezvous --local {local} --peer {peer} --format json {flags}"));
        self.namespaces[side as usize].enter(|| probe.start()).unwrap()
    }

    /// Both ends, each with its flags, until both have ended well.
    #[track_caller]
    fn meet(&self, flags: [&str; 2]) -> [Objects; 2] {
        let [a, b] = flags;
        [self.start(Side::A, a), self.start(Side::B, b)].map(|end| end.finish().exits(0).silently().objects())
    }
}

fn soon() -> Timestamp {
    Timestamp::now() + START
}

/// What a check of that name observed.
#[track_caller]
fn observed<'a>(objects: &'a Objects, name: &str) -> &'a str {
    let mut checks = objects.of("check").filter(|check| check["name"] == name);
    text(&checks.next().unwrap_or_else(|| panic!("a check `{name}`"))["observed"])
}

fn notes(objects: &Objects) -> Vec<&str> {
    objects.of("note").map(|note| text(&note["text"])).collect()
}

/// The ends of connections that the peer's host refused.
fn refusals(objects: &Objects) -> usize {
    let refused = |end: &&Value| end["old"] == "SYN_SENT" && end["cause"]["errno"] == "ECONNREFUSED";
    objects.of("transition").filter(refused).count()
}

#[track_caller]
fn two_ends_meet(family: Family, flags: &str) {
    let hosts = Hosts::new(family);
    let agreed = format!("--at {} --window 20s {flags}", soon());
    let ends = hosts.meet([&format!("{agreed} --payload ping"), &format!("{agreed} --payload pong")]);
    for (objects, heard) in ends.iter().zip(["pong", "ping"]) {
        assert_eq!(objects.verdicts(), [("rendezvous", "passed")]);
        assert_eq!(observed(objects, "connects"), "success");
        assert_eq!(observed(objects, "what this kernel saw"), SIMULTANEOUS);
        assert_eq!(observed(objects, "payload received"), heard);
        let found = |kind: &str| objects.of("finding").filter(|finding| finding["kind"] == kind).count();
        assert_eq!(found("simultaneous-open"), 1);
    }
    // Nobody who listens sends a SYN and a SYN+ACK.
    let packets = hosts.wire.packets();
    for side in Side::BOTH {
        let answers = |segment: &Segment| segment.is_syn_ack();
        let sent = packets
            .iter()
            .filter(|packet| packet.from == side && packet.segment.as_ref().is_some_and(answers));
        assert!(sent.count() >= 1, "a SYN+ACK from {side}");
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn two_ends_meet_over_ipv4() {
    two_ends_meet(Family::Ipv4, "");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn two_ends_meet_over_ipv6() {
    two_ends_meet(Family::Ipv6, "");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn two_ends_meet_on_a_kernel_that_tells_less() {
    two_ends_meet(Family::Ipv4, "--backend tracepoint");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_clock_comes_first() {
    let hosts = Hosts::new(Family::Ipv4);
    let objects = hosts.start(Side::A, "--in 0s --window 0s").finish().exits(1).objects();
    let kinds: Vec<_> = objects.iter().map(|object| text(&object["type"])).collect();
    assert_eq!(kinds[..2], ["ready", "note"]);
    assert!(notes(&objects)[0].contains("clock"), "{:?}", notes(&objects));
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn an_early_end_tries_until_the_late_one_comes() {
    let hosts = Hosts::new(Family::Ipv4);
    let early = soon();
    let late = early + Duration::from_millis(500);
    let at = |time| format!("--at {time} --window 20s");
    let [a, b] = hosts.meet([&at(early), &at(late)]);
    assert!(refusals(&a) >= 1, "{:?}", notes(&a));
    for objects in [&a, &b] {
        assert_eq!(observed(objects, "what this kernel saw"), SIMULTANEOUS);
        assert_eq!(observed(objects, "payload received"), "I love you.");
    }
    let refused = a.of("transition").filter(|transition| transition["new"] == "SYN_SENT");
    assert!(refused.clone().all(|transition| transition["local"]["port"] == PORT), "always the same port");
    assert_eq!(observed(&a, "tries before that"), "CLOSE → SYN_SENT → CLOSE");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn an_end_alone_is_refused() {
    let hosts = Hosts::new(Family::Ipv4);
    let objects = hosts.start(Side::A, "--in 0s --window 3s").finish().exits(1).silently().objects();
    assert_eq!(objects.verdicts(), [("rendezvous", "failed")]);
    assert_eq!(observed(&objects, "connects"), "ECONNREFUSED");
    assert_eq!(observed(&objects, "what this kernel saw"), "refused: CLOSE → SYN_SENT → CLOSE");
    assert!((2..=38).contains(&refusals(&objects)), "a round trip is 80 ms: {:?}", notes(&objects));
    assert!(notes(&objects).last().unwrap().contains("--window"), "{:?}", notes(&objects));
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn an_end_without_an_answer_times_out() {
    let hosts = Hosts::new(Family::Ipv6);
    hosts.wire.add(Rule::drop(Segment::is_syn));
    let objects = hosts.start(Side::B, "--in 0s --window 0s").finish().exits(1).silently().objects();
    assert_eq!(observed(&objects, "what this kernel saw"), "timed out: CLOSE → SYN_SENT → CLOSE");
    assert!(notes(&objects).last().unwrap().contains("firewall"), "{:?}", notes(&objects));
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn to_an_end_that_meets_a_listener_it_is_ordinary() {
    let hosts = Hosts::new(Family::Ipv4);
    let at = hosts.link.at(Side::B, PORT);
    let listener = hosts.namespaces[Side::B as usize].enter(|| Tcp::listening(at)).unwrap().unwrap();
    let end = hosts.start(Side::A, "--in 0s");
    let deadline = Instant::now() + PATIENCE;
    let server = listener.accept(deadline).unwrap();
    assert_eq!(server.read_to_end(deadline).unwrap(), b"I love you.");
    server.write_all(b"Who are you?", deadline).unwrap();
    drop(server);
    let objects = end.finish().exits(0).silently().objects();
    assert!(observed(&objects, "what this kernel saw").starts_with("ordinary here"));
    assert_eq!(observed(&objects, "payload received"), "Who are you?");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn two_ends_can_meet_again_at_once() {
    let hosts = Hosts::new(Family::Ipv4);
    // The first meeting leaves its TIME_WAIT at one end at least.
    for _ in 0..2 {
        let agreed = format!("--at {} --window 20s", soon());
        for objects in hosts.meet([&agreed, &agreed]) {
            assert_eq!(observed(&objects, "what this kernel saw"), SIMULTANEOUS);
        }
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_connection_between_the_two_ends_is_in_the_way() {
    let hosts = Hosts::new(Family::Ipv4);
    let [a, b] = Side::BOTH.map(|side| hosts.link.at(side, PORT));
    let _listener = hosts.namespaces[Side::B as usize].enter(|| Tcp::listening(b)).unwrap().unwrap();
    let connection = hosts.namespaces[Side::A as usize].enter(|| Tcp::bound(a)).unwrap().unwrap();
    connection.connect(b, Instant::now() + PATIENCE).unwrap();
    let objects = hosts.start(Side::A, "--in 0s").finish().exits(1).silently().objects();
    assert_eq!(observed(&objects, "connects"), "EADDRNOTAVAIL");
    assert_eq!(observed(&objects, "what this kernel saw"), "EADDRNOTAVAIL: CLOSE → SYN_SENT → CLOSE");
    assert!(notes(&objects).last().unwrap().contains("another port"), "{:?}", notes(&objects));
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn waiting_can_be_interrupted() {
    let hosts = Hosts::new(Family::Ipv4);
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut end = hosts.start(Side::A, "--in 1h");
        end.wait_for("scenario", |object| object["type"] == "scenario");
        end.signal(signal);
        let objects = end.finish().exits(130).silently().objects();
        assert_eq!(objects.one("end")["transitions"], 0);
    }
}

#[track_caller]
fn is_wrong_usage(flags: &str, words: &[&str]) {
    Probe::new(&format!("rendezvous {flags}")).run().exits(2).naming(words);
}

#[test]
fn what_cannot_be_a_meeting_is_wrong_usage() {
    let ends = "--local 127.0.0.1:1314 --peer 127.0.0.2:1314";
    is_wrong_usage(ends, &["--at <RFC3339>", "--in <DURATION>"]);
    is_wrong_usage(&format!("{ends} --in 1s --at 2099-01-01T00:00:00Z"), &["cannot be used with"]);
    is_wrong_usage(&format!("{ends} --at tomorrow"), &["--at"]);
    is_wrong_usage(&format!("{ends} --at 2015-11-22T12:00:00Z"), &["ago; this host's clock reads"]);
    is_wrong_usage("--local 127.0.0.1:1314 --peer [::1]:1314 --in 1s", &["IPv4", "IPv6"]);
    is_wrong_usage("--local 127.0.0.1:0 --peer 127.0.0.2:1314 --in 1s", &["--local has port 0"]);
    is_wrong_usage("--local 127.0.0.1:1314 --peer 127.0.0.1:1314 --in 1s", &["self-connect"]);
    is_wrong_usage("--local 192.0.2.1:1314 --peer 127.0.0.1:1314 --in 1s", &["no address 192.0.2.1"]);
}

#[test]
fn a_port_that_is_taken_comes_with_who_took_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let local = listener.local_addr().unwrap();
    let taken = Probe::new(&format!("rendezvous --local {local} --peer 127.0.0.2:1314 --in 1s")).run();
    let holder = format!("[{}] in LISTEN", std::process::id());
    taken.exits(3).saying(&["in use", &holder, "another port"]);
}
