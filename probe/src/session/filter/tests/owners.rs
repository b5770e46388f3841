//! Whose sockets are shown.

use super::{Told, check, ends, owner};
use crate::{
    model::{
        BindFailure, Cgroup, Endpoint, Errno, Family, Filter, Mono, Name, Output, Owner, Protocol, State,
    },
    session::filter::Exact,
};

#[test]
fn owners_by_process_name_and_cgroup() {
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
fn an_owner_who_becomes_known_is_shown_from_then_on() {
    let connection = ends("10.0.0.1:5", "10.0.0.2:6");
    let mut told = Told::to(Filter { pids: vec![100], ..Filter::default() });
    told.owner = Owner::UNKNOWN;
    assert!(told.step(connection, State::Established, State::CloseWait).is_empty());
    told.owner = owner(100, "worker", "/");
    assert_eq!(told.step(connection, State::CloseWait, State::LastAck), ["CLOSE_WAIT→LAST_ACK"]);
    // Whoever has it now, it is the one that was shown.
    told.owner = owner(101, "other", "/");
    assert_eq!(told.step(connection, State::LastAck, State::Close), ["LAST_ACK→CLOSE"]);
    assert_eq!(told.find(connection, Some(told.socket())), ["finding"]);
}

#[test]
fn the_kernels_word_on_owners_counts() {
    let connection = ends("10.0.0.1:5", "10.0.0.2:6");
    let mut told = Told::to(Filter { pids: vec![1], descendants: true, ..Filter::default() });
    assert!(told.step(connection, State::SynSent, State::Established).is_empty());
    told.next();
    told.kernels_word = Some(true);
    assert_eq!(told.step(connection, State::Close, State::SynSent), ["CLOSE→SYN_SENT"]);
    // Another socket of a process that it has named.
    told.next();
    told.kernels_word = None;
    assert_eq!(told.step(connection, State::Established, State::Close), ["ESTABLISHED→CLOSE"]);
}

#[test]
fn the_tools_own_sockets_are_not_meant() {
    let filter = Filter { pids: vec![100], descendants: true, ..Filter::default() };
    let mut told = Told::to(filter);
    told.kernels_word = Some(true);
    assert!(told.step(ends("10.0.0.1:5", "10.0.0.2:6"), State::Close, State::SynSent).is_empty());
}

fn bind_failed(port: u16, pid: u32) -> BindFailure {
    let owner = owner(pid, "server", "/");
    BindFailure {
        at: Mono(1),
        cpu: 0,
        task: owner.task,
        cgroup: owner.cgroup,
        cookie: None,
        netns: Some(7),
        protocol: Protocol::Tcp,
        family: Family::Ipv4,
        local: Endpoint::new([0, 0, 0, 0].into(), port),
        errno: Errno::EADDRINUSE,
        holders: Vec::new(),
    }
}

#[test]
fn a_bind_that_failed_is_its_callers() {
    let admitted = |filter: &Filter, port, pid| {
        // Any output will do: the failure decides.
        let mut outputs = vec![Output::Note("bind failed".to_owned())];
        Exact::new(filter).admit_bind_failure(&bind_failed(port, pid), &mut outputs);
        !outputs.is_empty()
    };
    let filter = Filter { ports: vec![80..=80], pids: vec![5], ..Filter::default() };
    assert!(admitted(&filter, 80, 5));
    assert!(!admitted(&filter, 80, 6));
    assert!(!admitted(&filter, 81, 5));
    // The kernel had no port to give.
    assert!(admitted(&filter, 0, 5));
    // The kernel side has seen whose descendant the caller is.
    let command = Filter { pids: vec![1], descendants: true, ..Filter::default() };
    assert!(admitted(&command, 80, 5));
}
