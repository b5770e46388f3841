//! `probe rendezvous`: two processes, each in its own network namespace, with a wire between them.

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

/// How long a process may take to start on a busy machine.
const START_TIME: Duration = Duration::from_secs(3);

const SIMULTANEOUS: &str = "simultaneous open: CLOSE → SYN_SENT → SYN_RECV → ESTABLISHED";

/// Two network namespaces with a wire between them.
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

    /// Starts `probe rendezvous` on one side.
    fn start(&self, side: Side, flags: &str) -> Running {
        let [local, peer] = [side, side.peer()].map(|side| self.link.endpoint(side, PORT));
        let probe = Probe::new(&format!("rendezvous --local {local} --peer {peer} --format json {flags}"));
        self.namespaces[side as usize].enter(|| probe.start()).unwrap()
    }

    /// Runs both sides, each with its flags, and expects both to exit with 0.
    #[track_caller]
    fn meet(&self, flags: [&str; 2]) -> [Objects; 2] {
        let [a, b] = flags;
        [self.start(Side::A, a), self.start(Side::B, b)]
            .map(|side| side.finish().exits(0).silently().objects())
    }
}

fn soon() -> Timestamp {
    Timestamp::now() + START_TIME
}

/// The observed value of the check with this name.
#[track_caller]
fn observed<'a>(objects: &'a Objects, name: &str) -> &'a str {
    let mut checks = objects.of("check").filter(|check| check["name"] == name);
    text(&checks.next().unwrap_or_else(|| panic!("a check `{name}`"))["observed"])
}

fn notes(objects: &Objects) -> Vec<&str> {
    objects.of("note").map(|note| text(&note["text"])).collect()
}

/// The number of connects that the peer's host refused.
fn refusals(objects: &Objects) -> usize {
    let refused = |end: &&Value| end["old"] == "SYN_SENT" && end["cause"]["errno"] == "ECONNREFUSED";
    objects.of("transition").filter(refused).count()
}

#[track_caller]
fn two_hosts_meet(family: Family, flags: &str) {
    let hosts = Hosts::new(family);
    let agreed = format!("--at {} --window 20s {flags}", soon());
    let sides = hosts.meet([&format!("{agreed} --payload ping"), &format!("{agreed} --payload pong")]);
    for (objects, received) in sides.iter().zip(["pong", "ping"]) {
        assert_eq!(objects.verdicts(), [("rendezvous", "passed")]);
        assert_eq!(observed(objects, "connects"), "success");
        assert_eq!(observed(objects, "as this kernel saw it"), SIMULTANEOUS);
        assert_eq!(observed(objects, "payload received"), received);
        let found = |kind: &str| objects.of("finding").filter(|finding| finding["kind"] == kind).count();
        assert_eq!(found("simultaneous-open"), 1);
    }
    // A listener does not send both a SYN and a SYN+ACK.
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
fn two_hosts_meet_over_ipv4() {
    two_hosts_meet(Family::Ipv4, "");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn two_hosts_meet_over_ipv6() {
    two_hosts_meet(Family::Ipv6, "");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn two_hosts_meet_on_the_tracepoint_backend() {
    two_hosts_meet(Family::Ipv4, "--backend tracepoint");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_first_note_is_about_the_clock() {
    let hosts = Hosts::new(Family::Ipv4);
    let objects = hosts.start(Side::A, "--in 0s --window 0s").finish().exits(1).objects();
    let kinds: Vec<_> = objects.iter().map(|object| text(&object["type"])).collect();
    assert_eq!(kinds[..2], ["ready", "note"]);
    assert!(notes(&objects)[0].contains("clock"), "{:?}", notes(&objects));
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn an_early_host_connects_until_the_late_one_does() {
    let hosts = Hosts::new(Family::Ipv4);
    let early = soon();
    let late = early + Duration::from_millis(500);
    let at = |time| format!("--at {time} --window 20s");
    let [a, b] = hosts.meet([&at(early), &at(late)]);
    assert!(refusals(&a) >= 1, "{:?}", notes(&a));
    for objects in [&a, &b] {
        assert_eq!(observed(objects, "as this kernel saw it"), SIMULTANEOUS);
        assert_eq!(observed(objects, "payload received"), "I love you.");
    }
    let refused = a.of("transition").filter(|transition| transition["new"] == "SYN_SENT");
    assert!(refused.clone().all(|transition| transition["local"]["port"] == PORT), "always the same port");
    assert_eq!(observed(&a, "earlier attempts"), "CLOSE → SYN_SENT → CLOSE");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_host_without_a_peer_is_refused() {
    let hosts = Hosts::new(Family::Ipv4);
    let objects = hosts.start(Side::A, "--in 0s --window 3s").finish().exits(1).silently().objects();
    assert_eq!(objects.verdicts(), [("rendezvous", "failed")]);
    assert_eq!(observed(&objects, "connects"), "ECONNREFUSED");
    assert_eq!(observed(&objects, "as this kernel saw it"), "refused: CLOSE → SYN_SENT → CLOSE");
    assert!((2..=38).contains(&refusals(&objects)), "a round trip takes 80ms: {:?}", notes(&objects));
    assert!(notes(&objects).last().unwrap().contains("--window"), "{:?}", notes(&objects));
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_host_whose_syns_are_dropped_times_out() {
    let hosts = Hosts::new(Family::Ipv6);
    hosts.wire.add_rule(Rule::drop(Segment::is_syn));
    let objects = hosts.start(Side::B, "--in 0s --window 0s").finish().exits(1).silently().objects();
    assert_eq!(observed(&objects, "as this kernel saw it"), "timed out: CLOSE → SYN_SENT → CLOSE");
    assert!(notes(&objects).last().unwrap().contains("firewall"), "{:?}", notes(&objects));
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn connecting_to_a_listener_is_an_active_open() {
    let hosts = Hosts::new(Family::Ipv4);
    let at = hosts.link.endpoint(Side::B, PORT);
    let listener = hosts.namespaces[Side::B as usize].enter(|| Tcp::listening(at)).unwrap().unwrap();
    let end = hosts.start(Side::A, "--in 0s");
    let deadline = Instant::now() + PATIENCE;
    let server = listener.accept(deadline).unwrap();
    assert_eq!(server.read_to_end(deadline).unwrap(), b"I love you.");
    server.write_all(b"Who are you?", deadline).unwrap();
    drop(server);
    let objects = end.finish().exits(0).silently().objects();
    assert!(observed(&objects, "as this kernel saw it").starts_with("active open"));
    assert_eq!(observed(&objects, "payload received"), "Who are you?");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn two_hosts_can_meet_twice_in_a_row() {
    let hosts = Hosts::new(Family::Ipv4);
    // The first connection leaves a TIME_WAIT on at least one side.
    for _ in 0..2 {
        let agreed = format!("--at {} --window 20s", soon());
        for objects in hosts.meet([&agreed, &agreed]) {
            assert_eq!(observed(&objects, "as this kernel saw it"), SIMULTANEOUS);
        }
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn an_existing_connection_with_the_same_4_tuple_is_reported() {
    let hosts = Hosts::new(Family::Ipv4);
    let [a, b] = Side::BOTH.map(|side| hosts.link.endpoint(side, PORT));
    let _listener = hosts.namespaces[Side::B as usize].enter(|| Tcp::listening(b)).unwrap().unwrap();
    let connection = hosts.namespaces[Side::A as usize].enter(|| Tcp::bound(a)).unwrap().unwrap();
    connection.connect(b, Instant::now() + PATIENCE).unwrap();
    let objects = hosts.start(Side::A, "--in 0s").finish().exits(1).silently().objects();
    assert_eq!(observed(&objects, "connects"), "EADDRNOTAVAIL");
    assert_eq!(observed(&objects, "as this kernel saw it"), "EADDRNOTAVAIL: CLOSE → SYN_SENT → CLOSE");
    assert!(notes(&objects).last().unwrap().contains("another port"), "{:?}", notes(&objects));
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_signal_interrupts_the_wait() {
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
fn an_impossible_plan_is_wrong_usage() {
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
fn the_holder_of_a_port_in_use_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let local = listener.local_addr().unwrap();
    let taken = Probe::new(&format!("rendezvous --local {local} --peer 127.0.0.2:1314 --in 1s")).run();
    let holder = format!("[{}] in LISTEN", std::process::id());
    taken.exits(3).saying(&["in use", &holder, "another port"]);
}
