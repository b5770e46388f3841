//! Whose sockets are shown.

use super::{Harness, check, endpoints, owner};
use crate::{
    model::{
        BindFailure, BindOptions, Cgroup, Endpoint, Endpoints, Errno, Filter, Mono, Name, Output, Owner,
        SocketIdentity, State,
    },
    session::filter::SocketFilter,
};

#[test]
fn owners_match_by_process_name_and_cgroup() {
    let name = |text: &str| Name::from_bytes(text.as_bytes());
    let at = |path: &str| Cgroup { id: 0, path: Some(name(path)) };
    for (filter, expected) in [
        (Filter { pids: vec![100], ..Filter::default() }, true),
        (Filter { pids: vec![10], ..Filter::default() }, false),
        (Filter { comms: vec![name("client")], ..Filter::default() }, true),
        (Filter { comms: vec![name("clien")], ..Filter::default() }, false),
        (Filter { cgroups: vec![Cgroup { id: 100, path: None }], ..Filter::default() }, true),
        (Filter { cgroups: vec![at("/a")], ..Filter::default() }, true),
        (Filter { cgroups: vec![at("/a/b/")], ..Filter::default() }, true),
        (Filter { cgroups: vec![at("/")], ..Filter::default() }, true),
        (Filter { cgroups: vec![at("/a/b/c")], ..Filter::default() }, false),
        (Filter { cgroups: vec![at("/a/bc")], ..Filter::default() }, false),
        (Filter { pids: vec![100], comms: vec![name("server")], ..Filter::default() }, false),
    ] {
        check(&filter, "10.0.0.1:5", "10.0.0.2:6", expected);
    }
}

#[test]
fn a_socket_is_shown_once_its_owner_is_known() {
    let connection = endpoints("10.0.0.1:5", "10.0.0.2:6");
    let mut harness = Harness::new(Filter { pids: vec![100], ..Filter::default() });
    harness.owner = Owner::UNKNOWN;
    assert!(harness.step(connection, State::Established, State::CloseWait).is_empty());
    harness.owner = owner(100, "worker", "/");
    assert_eq!(harness.step(connection, State::CloseWait, State::LastAck), ["CLOSE_WAIT→LAST_ACK"]);
    // A socket that was shown stays shown, even if another process takes it over.
    harness.owner = owner(101, "other", "/");
    assert_eq!(harness.step(connection, State::LastAck, State::Close), ["LAST_ACK→CLOSE"]);
    assert_eq!(harness.find(connection, Some(harness.socket())), ["finding"]);
}

#[test]
fn the_kernel_sides_decision_on_owners_counts() {
    let connection = endpoints("10.0.0.1:5", "10.0.0.2:6");
    let mut harness = Harness::new(Filter { pids: vec![1], descendants: true, ..Filter::default() });
    assert!(harness.step(connection, State::SynSent, State::Established).is_empty());
    harness.next_socket();
    harness.owner_matches = Some(true);
    assert_eq!(harness.step(connection, State::Close, State::SynSent), ["CLOSE→SYN_SENT"]);
    // Another socket of a process that the kernel side has found to be a descendant.
    harness.next_socket();
    harness.owner_matches = None;
    assert_eq!(harness.step(connection, State::Established, State::Close), ["ESTABLISHED→CLOSE"]);
}

#[test]
fn the_tools_own_sockets_do_not_match() {
    let filter = Filter { pids: vec![100], descendants: true, ..Filter::default() };
    let mut harness = Harness::new(filter);
    harness.owner_matches = Some(true);
    assert!(harness.step(endpoints("10.0.0.1:5", "10.0.0.2:6"), State::Close, State::SynSent).is_empty());
}

fn bind_failure(port: u16, pid: u32) -> BindFailure {
    let owner = owner(pid, "server", "/");
    BindFailure {
        at: Mono(1),
        cpu: 0,
        task: owner.task,
        cgroup: owner.cgroup,
        cookie: None,
        identity: SocketIdentity::tcp(
            Some(7),
            Endpoints::unconnected(Endpoint::new([0, 0, 0, 0].into(), port)),
        ),
        errno: Errno::EADDRINUSE,
        options: BindOptions::default(),
        holders: Vec::new(),
        is_queried: true,
        opener_fates: Vec::new(),
    }
}

#[test]
fn a_failed_bind_matches_by_its_caller() {
    let matches = |filter: &Filter, port, pid| {
        // Any output will do: the failure decides.
        let mut outputs = vec![Output::Note("bind failed".to_owned())];
        SocketFilter::new(filter).select_bind_failure(&bind_failure(port, pid), &mut outputs);
        !outputs.is_empty()
    };
    let filter = Filter { ports: vec![80..=80], pids: vec![5], ..Filter::default() };
    assert!(matches(&filter, 80, 5));
    assert!(!matches(&filter, 80, 6));
    assert!(!matches(&filter, 81, 5));
    // The kernel was to pick the port and found none.
    assert!(matches(&filter, 0, 5));
    // The kernel side has found the caller to be a descendant.
    let command = Filter { pids: vec![1], descendants: true, ..Filter::default() };
    assert!(matches(&command, 80, 5));
}
