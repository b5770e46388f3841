//! Which sockets are shown: by their ends, and when.

mod owners;
mod sets;

use std::{iter, net::SocketAddr};

use super::*;
use crate::model::{
    Cgroup, Endpoints, Family, Finding, FindingKind, Known, Mono, Name, Owner, Protocol, State, Task,
    Transition, testing::diag_entry,
};

fn owner(pid: u32, comm: &str, cgroup: &str) -> Owner {
    let cgroup = Cgroup { id: u64::from(pid), path: Some(Name::from_bytes(cgroup.as_bytes())) };
    let task = Task { pid, uid: 0, comm: Name::from_bytes(comm.as_bytes()) };
    Owner { task: Some(task), cgroup: Some(cgroup), known: Known::Exact }
}

fn ends(local: &str, remote: &str) -> Endpoints {
    let at = |text: &str| text.parse::<SocketAddr>().unwrap().into();
    Endpoints { local: at(local), remote: at(remote) }
}

/// The transitions of one socket on their way through a filter.
struct Told {
    exact: Exact,
    seq: u64,
    first: Option<u64>,
    number: u64,
    owner: Owner,
    kernels_word: Option<bool>,
}

impl Told {
    fn to(filter: Filter) -> Self {
        let owner = owner(100, "client", "/a/b");
        Self { exact: Exact::new(&filter), seq: 0, first: None, number: 1, owner, kernels_word: None }
    }

    /// Another socket.
    fn next(&mut self) {
        self.number += 1;
        self.first = None;
    }

    /// What is shown at this transition: the edges, or `finding`.
    fn step(&mut self, ends: Endpoints, old: State, new: State) -> Vec<String> {
        let mut events = self.transition(ends, old, new);
        let first = *self.first.get_or_insert(self.seq);
        self.exact.admit(&mut events, Some(first), self.kernels_word);
        shown(&events)
    }

    fn transition(&mut self, ends: Endpoints, old: State, new: State) -> Vec<Output> {
        self.seq += 1;
        let transition = Transition {
            seq: self.seq,
            at: Mono(self.seq),
            cpu: 0,
            socket: self.socket(),
            cookie: None,
            netns: Some(7),
            protocol: Protocol::Tcp,
            family: if ends.local.addr.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 },
            ends,
            old,
            new,
            cause: None,
            owner: self.owner.clone().into(),
            state_duration: None,
            segs_out: None,
        };
        vec![Output::Transition(transition)]
    }

    fn find(&mut self, ends: Endpoints, socket: Option<SocketId>) -> Vec<String> {
        let mut events = vec![Output::Finding(Finding {
            kind: FindingKind::Stuck,
            at: Mono(self.seq),
            socket,
            netns: Some(7),
            ends,
            owner: self.owner.clone().into(),
            message: String::new(),
            remedy: None,
            evidence: Vec::new(),
        })];
        self.exact.admit(&mut events, self.first.filter(|_| socket.is_some()), None);
        shown(&events)
    }

    fn socket(&self) -> SocketId {
        SocketId { number: self.number, generation: 1 }
    }
}

fn shown(events: &[Output]) -> Vec<String> {
    let word = |event: &Output| match event {
        Output::Transition(transition) => format!("{}→{}", transition.old, transition.new),
        Output::Finding(_) => "finding".to_owned(),
        other => format!("{other:?}"),
    };
    events.iter().map(word).collect()
}

/// Whether an established connection with these ends is shown.
#[track_caller]
fn check(filter: &Filter, local: &str, remote: &str, expected: bool) {
    let shown = Told::to(filter.clone()).step(ends(local, remote), State::SynSent, State::Established);
    assert_eq!(!shown.is_empty(), expected, "{local} {remote} by {filter:?}");
}

#[test]
fn kinds_widen_and_narrow() {
    let filter = Filter {
        remote_ports: vec![80..=80, 8000..=8999],
        networks: vec!["10.0.0.0/8".parse().unwrap()],
        ..Filter::default()
    };
    check(&filter, "10.0.0.1:5", "192.0.2.1:80", true);
    check(&filter, "192.0.2.1:5", "10.9.9.9:8999", true);
    check(&filter, "192.0.2.1:5", "192.0.2.2:80", false);
    check(&filter, "10.0.0.1:80", "10.0.0.2:5", false);
}

#[test]
fn a_port_at_either_end() {
    let filter = Filter { ports: vec![80..=80], ..Filter::default() };
    check(&filter, "192.0.2.1:80", "192.0.2.2:5", true);
    check(&filter, "192.0.2.1:5", "192.0.2.2:80", true);
    check(&filter, "192.0.2.1:5", "192.0.2.2:6", false);
}

#[test]
fn a_v4_mapped_address_is_in_its_ipv4_network() {
    let filter = Filter { networks: vec!["10.0.0.0/8".parse().unwrap()], ..Filter::default() };
    check(&filter, "[::ffff:10.0.0.1]:5", "[::ffff:192.0.2.1]:80", true);
    check(&filter, "[::1]:5", "[::1]:80", false);
    let family = Filter { families: vec![Family::Ipv6], ..Filter::default() };
    check(&family, "[::ffff:10.0.0.1]:5", "[::ffff:192.0.2.1]:80", true);
    check(&family, "10.0.0.1:5", "192.0.2.1:80", false);
}

#[test]
fn namespaces_and_protocols() {
    check(&Filter { netns: vec![6, 7], ..Filter::default() }, "10.0.0.1:5", "10.0.0.2:6", true);
    check(&Filter { netns: vec![6], ..Filter::default() }, "10.0.0.1:5", "10.0.0.2:6", false);
    let mptcp = Filter { protocols: vec![Protocol::Mptcp], ..Filter::default() };
    check(&mptcp, "10.0.0.1:5", "10.0.0.2:6", false);
}

#[test]
fn a_connect_is_held_back_until_its_port_is_known() {
    let filter = Filter { local_ports: vec![5..=5], ..Filter::default() };
    let mut told = Told::to(filter);
    let unbound = ends("10.0.0.1:0", "10.0.0.2:80");
    assert!(told.step(unbound, State::Close, State::SynSent).is_empty());
    assert!(told.find(unbound, Some(told.socket())).is_empty());
    let meant = ends("10.0.0.1:5", "10.0.0.2:80");
    let all = ["CLOSE→SYN_SENT", "finding", "SYN_SENT→ESTABLISHED"];
    assert_eq!(told.step(meant, State::SynSent, State::Established), all);
    assert_eq!(told.step(meant, State::Established, State::Close), ["ESTABLISHED→CLOSE"]);

    told.next();
    assert!(told.step(unbound, State::Close, State::SynSent).is_empty());
    let other = ends("10.0.0.1:6", "10.0.0.2:80");
    assert!(told.step(other, State::SynSent, State::Established).is_empty());
    assert!(told.step(other, State::Established, State::Close).is_empty());
    assert!(told.exact.held.is_empty());
}

#[test]
fn a_refusal_that_never_had_a_port_is_shown() {
    for filter in [
        Filter { local_ports: vec![5..=5], ..Filter::default() },
        Filter { ports: vec![5..=5], ..Filter::default() },
    ] {
        let mut told = Told::to(filter);
        let unbound = ends("10.0.0.1:0", "10.0.0.2:80");
        assert!(told.step(unbound, State::Close, State::SynSent).is_empty());
        let all = ["CLOSE→SYN_SENT", "SYN_SENT→CLOSE"];
        assert_eq!(told.step(unbound, State::SynSent, State::Close), all);
    }
}

/// As where a recording that was filtered is filtered again.
#[test]
fn of_events_that_come_together_the_latest_decides() {
    let filter = Filter { local_ports: vec![5..=5], ..Filter::default() };
    let mut told = Told::to(Filter::default());
    let mut together = told.transition(ends("10.0.0.1:0", "10.0.0.2:80"), State::Close, State::SynSent);
    together.extend(told.transition(ends("10.0.0.1:5", "10.0.0.2:80"), State::SynSent, State::Close));
    Exact::new(&filter).admit(&mut together, Some(1), None);
    assert_eq!(shown(&together), ["CLOSE→SYN_SENT", "SYN_SENT→CLOSE"]);
}

#[test]
fn the_peers_port_needs_no_waiting() {
    let mut told = Told::to(Filter { ports: vec![80..=80], ..Filter::default() });
    assert_eq!(
        told.step(ends("10.0.0.1:0", "10.0.0.2:80"), State::Close, State::SynSent),
        ["CLOSE→SYN_SENT"]
    );
}

#[test]
fn a_listener_has_no_peer_to_wait_for() {
    let listens = ends("0.0.0.0:80", "0.0.0.0:0");
    for (filter, shown) in [
        (Filter { local_ports: vec![80..=80], ..Filter::default() }, true),
        (Filter { remote_ports: vec![80..=80], ..Filter::default() }, false),
        (Filter { networks: vec!["10.0.0.0/8".parse().unwrap()], ..Filter::default() }, false),
        (Filter { networks: vec!["0.0.0.0/0".parse().unwrap()], ..Filter::default() }, true),
    ] {
        let mut told = Told::to(filter);
        assert_eq!(!told.step(listens, State::Close, State::Listen).is_empty(), shown);
        assert_eq!(!told.step(listens, State::Listen, State::Close).is_empty(), shown);
        assert!(told.exact.held.is_empty());
    }
}

/// Up to Linux 6.12 a child's first report has its listener's identity and no remote port.
#[test]
fn a_child_without_a_name_comes_with_its_next_transition() {
    let mut told = Told::to(Filter { remote_ports: vec![5..=5], ..Filter::default() });
    assert!(told.step(ends("10.0.0.1:80", "0.0.0.0:0"), State::Listen, State::SynRecv).is_empty());
    told.number = 9;
    let all = ["LISTEN→SYN_RECV", "SYN_RECV→ESTABLISHED"];
    assert_eq!(told.step(ends("10.0.0.1:80", "10.0.0.2:5"), State::SynRecv, State::Established), all);
}

#[test]
fn a_finding_without_a_socket_is_judged_by_itself() {
    let mut told = Told::to(Filter { local_ports: vec![80..=80], ..Filter::default() });
    assert_eq!(told.find(ends("0.0.0.0:80", "0.0.0.0:0"), None), ["finding"]);
    assert!(told.find(ends("0.0.0.0:81", "0.0.0.0:0"), None).is_empty());
}

#[test]
fn what_is_about_no_socket_is_shown() {
    let mut events = vec![Output::Lost { count: 1, stage: "ring".to_owned() }];
    Exact::new(&Filter { pids: vec![1], ..Filter::default() }).admit(&mut events, None, None);
    assert_eq!(events.len(), 1);
}

#[test]
fn of_too_many_that_are_held_back_the_oldest_is_shown() {
    let mut told = Told::to(Filter { local_ports: vec![5..=5], ..Filter::default() });
    let unbound = ends("10.0.0.1:0", "10.0.0.2:80");
    let shown: Vec<_> = iter::repeat_with(|| {
        told.next();
        told.step(unbound, State::Close, State::SynSent).len()
    })
    .take(HELD + 3)
    .collect();
    assert_eq!(shown[..HELD], [0; HELD]);
    assert_eq!(shown[HELD..], [1; 3]);
}

#[test]
fn memory_is_bounded_where_ends_were_lost() {
    let mut told = Told::to(Filter { ports: vec![5..=5], ..Filter::default() });
    let connection = ends("10.0.0.1:5", "10.0.0.2:80");
    for _ in 0..4 {
        for _ in 0..MOST / 2 {
            told.next();
            told.step(connection, State::SynSent, State::Established);
        }
        told.exact.lost();
    }
    assert!(told.exact.shown.len() <= MOST);
    for _ in 0..CLOSED + MOST {
        told.next();
        told.step(connection, State::Established, State::Close);
    }
    assert!(told.exact.closed.len() <= CLOSED);
}

#[test]
fn of_what_was_there_everything_that_may_be_meant_is_awaited() {
    let exact = Exact::new(&Filter { remote_ports: vec![443..=443], pids: vec![1], ..Filter::default() });
    let row = |state, remote| diag_entry(7, state, "10.0.0.1:5000", remote);
    assert!(exact.may_mean(&row(State::Established, "10.0.0.2:443")));
    assert!(exact.may_mean(&row(State::Listen, "0.0.0.0:0")), "its children may be");
    assert!(!exact.may_mean(&row(State::Established, "10.0.0.2:80")));
}
