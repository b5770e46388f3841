//! Which sockets are shown: by their endpoints, and when.

mod filter_sets;
mod owners;

use std::{iter, net::SocketAddr};

use super::*;
use crate::model::{
    Cgroup, Endpoints, Family, Finding, FindingKind, Known, LossStage, Mono, Name, Owner, Protocol,
    SocketIdentity, State, Task, Transition, testing::diag_entry,
};

fn owner(pid: u32, comm: &str, cgroup: &str) -> Owner {
    let cgroup = Cgroup { id: u64::from(pid), path: Some(Name::from_bytes(cgroup.as_bytes())) };
    let task = Task { pid, uid: 0, comm: Name::from_bytes(comm.as_bytes()) };
    Owner { task: Some(task), cgroup: Some(cgroup), known: Known::Exact }
}

fn endpoints(local: &str, remote: &str) -> Endpoints {
    let at = |text: &str| text.parse::<SocketAddr>().unwrap().into();
    Endpoints { local: at(local), remote: at(remote) }
}

/// A filter, and the socket whose transitions are passed to it.
struct Harness {
    filter: SocketFilter,
    seq: u64,
    first_seq: Option<u64>,
    number: u64,
    owner: Owner,
    owner_matches: Option<bool>,
}

impl Harness {
    fn new(filter: Filter) -> Self {
        let owner = owner(100, "client", "/a/b");
        Self {
            filter: SocketFilter::new(&filter),
            seq: 0,
            first_seq: None,
            number: 1,
            owner,
            owner_matches: None,
        }
    }

    /// Continues with another socket.
    fn next_socket(&mut self) {
        self.number += 1;
        self.first_seq = None;
    }

    /// Passes a transition of these endpoints and returns what is shown then: transitions, or `finding`.
    fn step(&mut self, endpoints: Endpoints, old: State, new: State) -> Vec<String> {
        let mut outputs = self.transition(endpoints, old, new);
        let first_seq = *self.first_seq.get_or_insert(self.seq);
        self.filter.select(&mut outputs, |_| Some(first_seq), self.owner_matches);
        shown(&outputs)
    }

    fn transition(&mut self, endpoints: Endpoints, old: State, new: State) -> Vec<Output> {
        self.seq += 1;
        let transition = Transition {
            seq: self.seq,
            at: Mono(self.seq),
            cpu: 0,
            socket: self.socket(),
            cookie: None,
            identity: SocketIdentity::tcp(Some(7), endpoints),
            old,
            new,
            cause: None,
            owner: self.owner.clone().into(),
            state_duration: None,
            segs_out: None,
        };
        vec![Output::Transition(transition)]
    }

    /// Passes a finding and returns what is shown then.
    fn find(&mut self, endpoints: Endpoints, socket: Option<SocketId>) -> Vec<String> {
        let mut outputs = vec![Output::Finding(Finding {
            kind: FindingKind::Stuck,
            at: Mono(self.seq),
            socket,
            identity: SocketIdentity::tcp(Some(7), endpoints),
            owner: self.owner.clone().into(),
            message: String::new(),
            remedy: None,
            evidence: Vec::new(),
        })];
        let first_seq = self.first_seq.filter(|_| socket.is_some());
        self.filter.select(&mut outputs, |_| first_seq, None);
        shown(&outputs)
    }

    fn socket(&self) -> SocketId {
        SocketId { number: self.number, generation: 1 }
    }
}

fn shown(outputs: &[Output]) -> Vec<String> {
    let text = |output: &Output| match output {
        Output::Transition(transition) => format!("{}→{}", transition.old, transition.new),
        Output::Finding(_) => "finding".to_owned(),
        other => format!("{other:?}"),
    };
    outputs.iter().map(text).collect()
}

/// Checks whether an established connection with these endpoints is shown.
#[track_caller]
fn check(filter: &Filter, local: &str, remote: &str, expected: bool) {
    let shown =
        Harness::new(filter.clone()).step(endpoints(local, remote), State::SynSent, State::Established);
    assert_eq!(!shown.is_empty(), expected, "{local} {remote} by {filter:?}");
}

#[test]
fn entries_of_one_kind_are_alternatives_and_kinds_are_combined() {
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
fn a_port_matches_at_either_endpoint() {
    let filter = Filter { ports: vec![80..=80], ..Filter::default() };
    check(&filter, "192.0.2.1:80", "192.0.2.2:5", true);
    check(&filter, "192.0.2.1:5", "192.0.2.2:80", true);
    check(&filter, "192.0.2.1:5", "192.0.2.2:6", false);
}

#[test]
fn an_ipv4_mapped_address_matches_its_ipv4_network() {
    let filter = Filter { networks: vec!["10.0.0.0/8".parse().unwrap()], ..Filter::default() };
    check(&filter, "[::ffff:10.0.0.1]:5", "[::ffff:192.0.2.1]:80", true);
    check(&filter, "[::1]:5", "[::1]:80", false);
    let family = Filter { families: vec![Family::Ipv6], ..Filter::default() };
    check(&family, "[::ffff:10.0.0.1]:5", "[::ffff:192.0.2.1]:80", true);
    check(&family, "10.0.0.1:5", "192.0.2.1:80", false);
}

#[test]
fn namespaces_and_protocols_are_matched() {
    check(&Filter { netns: vec![6, 7], ..Filter::default() }, "10.0.0.1:5", "10.0.0.2:6", true);
    check(&Filter { netns: vec![6], ..Filter::default() }, "10.0.0.1:5", "10.0.0.2:6", false);
    let mptcp = Filter { protocols: vec![Protocol::Mptcp], ..Filter::default() };
    check(&mptcp, "10.0.0.1:5", "10.0.0.2:6", false);
}

#[test]
fn a_connect_is_held_back_until_its_local_port_is_known() {
    let filter = Filter { local_ports: vec![5..=5], ..Filter::default() };
    let mut harness = Harness::new(filter);
    let unbound = endpoints("10.0.0.1:0", "10.0.0.2:80");
    assert!(harness.step(unbound, State::Close, State::SynSent).is_empty());
    assert!(harness.find(unbound, Some(harness.socket())).is_empty());
    let matching = endpoints("10.0.0.1:5", "10.0.0.2:80");
    let all = ["CLOSE→SYN_SENT", "finding", "SYN_SENT→ESTABLISHED"];
    assert_eq!(harness.step(matching, State::SynSent, State::Established), all);
    assert_eq!(harness.step(matching, State::Established, State::Close), ["ESTABLISHED→CLOSE"]);

    harness.next_socket();
    assert!(harness.step(unbound, State::Close, State::SynSent).is_empty());
    let other = endpoints("10.0.0.1:6", "10.0.0.2:80");
    assert!(harness.step(other, State::SynSent, State::Established).is_empty());
    assert!(harness.step(other, State::Established, State::Close).is_empty());
    assert!(harness.filter.held.is_empty());
}

#[test]
fn a_refused_connect_without_a_local_port_is_shown() {
    for filter in [
        Filter { local_ports: vec![5..=5], ..Filter::default() },
        Filter { ports: vec![5..=5], ..Filter::default() },
    ] {
        let mut harness = Harness::new(filter);
        let unbound = endpoints("10.0.0.1:0", "10.0.0.2:80");
        assert!(harness.step(unbound, State::Close, State::SynSent).is_empty());
        let all = ["CLOSE→SYN_SENT", "SYN_SENT→CLOSE"];
        assert_eq!(harness.step(unbound, State::SynSent, State::Close), all);
    }
}

/// This happens when a recording that was made with a filter is filtered again.
#[test]
fn the_latest_of_several_outputs_decides() {
    let filter = Filter { local_ports: vec![5..=5], ..Filter::default() };
    let mut harness = Harness::new(Filter::default());
    let mut together =
        harness.transition(endpoints("10.0.0.1:0", "10.0.0.2:80"), State::Close, State::SynSent);
    together.extend(harness.transition(endpoints("10.0.0.1:5", "10.0.0.2:80"), State::SynSent, State::Close));
    SocketFilter::new(&filter).select(&mut together, |_| Some(1), None);
    assert_eq!(shown(&together), ["CLOSE→SYN_SENT", "SYN_SENT→CLOSE"]);
}

#[test]
fn a_known_remote_port_decides_at_once() {
    let mut harness = Harness::new(Filter { ports: vec![80..=80], ..Filter::default() });
    assert_eq!(
        harness.step(endpoints("10.0.0.1:0", "10.0.0.2:80"), State::Close, State::SynSent),
        ["CLOSE→SYN_SENT"]
    );
}

#[test]
fn a_listener_is_decided_at_once() {
    let listens = endpoints("0.0.0.0:80", "0.0.0.0:0");
    for (filter, shown) in [
        (Filter { local_ports: vec![80..=80], ..Filter::default() }, true),
        (Filter { remote_ports: vec![80..=80], ..Filter::default() }, false),
        (Filter { networks: vec!["10.0.0.0/8".parse().unwrap()], ..Filter::default() }, false),
        (Filter { networks: vec!["0.0.0.0/0".parse().unwrap()], ..Filter::default() }, true),
    ] {
        let mut harness = Harness::new(filter);
        assert_eq!(!harness.step(listens, State::Close, State::Listen).is_empty(), shown);
        assert_eq!(!harness.step(listens, State::Listen, State::Close).is_empty(), shown);
        assert!(harness.filter.held.is_empty());
    }
}

/// Up to Linux 6.12, an accepted socket's first report has its listener's identity and no remote port.
#[test]
fn an_accepted_socket_without_identity_is_shown_with_its_next_transition() {
    let mut harness = Harness::new(Filter { remote_ports: vec![5..=5], ..Filter::default() });
    assert!(harness.step(endpoints("10.0.0.1:80", "0.0.0.0:0"), State::Listen, State::SynRecv).is_empty());
    harness.number = 9;
    let all = ["LISTEN→SYN_RECV", "SYN_RECV→ESTABLISHED"];
    assert_eq!(harness.step(endpoints("10.0.0.1:80", "10.0.0.2:5"), State::SynRecv, State::Established), all);
}

#[test]
fn a_finding_without_a_socket_is_matched_by_itself() {
    let mut harness = Harness::new(Filter { local_ports: vec![80..=80], ..Filter::default() });
    assert_eq!(harness.find(endpoints("0.0.0.0:80", "0.0.0.0:0"), None), ["finding"]);
    assert!(harness.find(endpoints("0.0.0.0:81", "0.0.0.0:0"), None).is_empty());
}

#[test]
fn outputs_about_no_socket_are_shown() {
    let mut outputs = vec![Output::Lost { count: 1, stage: LossStage::Ring }];
    SocketFilter::new(&Filter { pids: vec![1], ..Filter::default() }).select(&mut outputs, |_| None, None);
    assert_eq!(outputs.len(), 1);
}

#[test]
fn the_oldest_of_too_many_held_connections_is_shown() {
    let mut harness = Harness::new(Filter { local_ports: vec![5..=5], ..Filter::default() });
    let unbound = endpoints("10.0.0.1:0", "10.0.0.2:80");
    let shown: Vec<_> = iter::repeat_with(|| {
        harness.next_socket();
        harness.step(unbound, State::Close, State::SynSent).len()
    })
    .take(MAX_HELD + 3)
    .collect();
    assert_eq!(shown[..MAX_HELD], [0; MAX_HELD]);
    assert_eq!(shown[MAX_HELD..], [1; 3]);
}

#[test]
fn memory_is_bounded_when_closes_are_lost() {
    let mut harness = Harness::new(Filter { ports: vec![5..=5], ..Filter::default() });
    let connection = endpoints("10.0.0.1:5", "10.0.0.2:80");
    for _ in 0..4 {
        for _ in 0..MAX_AFTER_LOSS / 2 {
            harness.next_socket();
            harness.step(connection, State::SynSent, State::Established);
        }
        harness.filter.lost();
    }
    assert!(harness.filter.shown.len() <= MAX_AFTER_LOSS);
    for _ in 0..MAX_CLOSED + MAX_AFTER_LOSS {
        harness.next_socket();
        harness.step(connection, State::Established, State::Close);
    }
    assert!(harness.filter.closed.len() <= MAX_CLOSED);
}

#[test]
fn existing_sockets_that_may_match_are_retained() {
    let filter =
        SocketFilter::new(&Filter { remote_ports: vec![443..=443], pids: vec![1], ..Filter::default() });
    let row = |state, remote| diag_entry(7, state, "10.0.0.1:5000", remote);
    assert!(filter.may_match(&row(State::Established, "10.0.0.2:443")));
    assert!(filter.may_match(&row(State::Listen, "0.0.0.0:0")), "the sockets that it accepts may match");
    assert!(!filter.may_match(&row(State::Established, "10.0.0.2:80")));
}
