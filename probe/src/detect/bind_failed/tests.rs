//! The messages and remedies of failed binds and listens.

use std::time::Duration;

use State::*;

use super::*;
use crate::{
    detect::testing::Simulation,
    model::{
        Endpoints,
        testing::{UNSHARED, diag_entry, endpoint, host, task},
    },
};

const SERVER: &str = "0.0.0.0:8080";

fn simulation() -> Simulation<BindFailed> {
    Simulation::new(BindFailed::new(&host()))
}

fn find(local: &str, errno: Errno, holders: Vec<DiagEntry>) -> Finding {
    find_with(UNSHARED, local, errno, holders)
}

fn find_with(options: BindOptions, local: &str, errno: Errno, holders: Vec<DiagEntry>) -> Finding {
    let failure = failure(options, local, errno, holders);
    simulation().detector().bind_failed(&failure).expect("every failed bind is a finding")
}

fn failure(options: BindOptions, local: &str, errno: Errno, holders: Vec<DiagEntry>) -> BindFailure {
    let mut failure = BindFailure {
        at: Mono(5),
        cpu: 0,
        task: Some(task(500, "late")),
        cgroup: None,
        cookie: Some(42),
        identity: SocketIdentity::tcp(Some(1), Endpoints::unconnected(endpoint(local))),
        errno,
        options,
        holders,
        is_queried: true,
        opener_fates: Vec::new(),
    };
    failure.retain_conflicting_holders();
    failure
}

fn message(local: &str, errno: Errno) -> String {
    find(local, errno, Vec::new()).message
}

/// What a message says of the holders, and the remedy.
fn held_by(holders: Vec<DiagEntry>) -> (String, Option<String>) {
    let finding = find(SERVER, Errno::EADDRINUSE, holders);
    (finding.message.split_once("EADDRINUSE, ").expect("it says so").1.to_owned(), finding.remedy)
}

fn row(state: State, local: &str, remote: &str) -> DiagEntry {
    diag_entry(1, state, local, remote).held_by(77, "client")
}

fn mini(state: State, local: &str, remote: &str) -> DiagEntry {
    DiagEntry { expires: Some(Duration::from_millis(42_100)), ..row(state, local, remote) }
}

#[test]
fn a_finding_names_caller_port_and_holder() {
    let listener = diag_entry(1, Listen, "0.0.0.0:80", "0.0.0.0:0").held_by(123, "nginx");
    let finding = find("0.0.0.0:80", Errno::EADDRINUSE, vec![listener]);
    insta::assert_snapshot!(finding.message, @"late[500] could not bind 0.0.0.0:80: EADDRINUSE, nginx[123] listens on 0.0.0.0:80");
    assert_eq!((finding.kind, finding.at, finding.remedy), (FindingKind::BindFailed, Mono(5), None));
    assert_eq!(finding.socket, Some(SocketId { number: 42, generation: 0 }));
    assert_eq!(finding.identity.endpoints.remote, endpoint("0.0.0.0:0"));
    assert_eq!(finding.owner.task, Some(task(500, "late")));
}

#[test]
fn each_holder_is_described_by_its_state() {
    let holder = |row| held_by(vec![row]).0;
    insta::assert_snapshot!(holder(row(Established, "10.0.0.1:8080", "10.0.0.2:5000")), @"client[77] has a connection in ESTABLISHED from 10.0.0.1:8080 to 10.0.0.2:5000");
    insta::assert_snapshot!(holder(row(Established, "10.0.0.1:8080", "10.0.0.1:8080")), @"client[77], which connected to itself at 10.0.0.1:8080, holds it");
    insta::assert_snapshot!(holder(mini(TimeWait, "10.0.0.1:8080", "10.0.0.2:5000")), @"client[77] left a TIME_WAIT from 10.0.0.1:8080 to 10.0.0.2:5000 (expires in 43 s)");
    insta::assert_snapshot!(holder(mini(TimeWait, "10.0.0.1:8080", "10.0.0.1:8080")), @"client[77], which had connected to itself at 10.0.0.1:8080, left a TIME_WAIT there (expires in 43 s)");
    insta::assert_snapshot!(holder(mini(FinWait2, "10.0.0.1:8080", "10.0.0.2:5000")), @"client[77] left a FIN_WAIT2 from 10.0.0.1:8080 to 10.0.0.2:5000 (expires in 43 s)");
    insta::assert_snapshot!(holder(row(Close, "0.0.0.0:8080", "0.0.0.0:0")), @"client[77] is bound to 0.0.0.0:8080");
    let unknown = DiagEntry { owner: Owner::unknown(), ..mini(TimeWait, "10.0.0.1:8080", "10.0.0.2:5000") };
    insta::assert_snapshot!(holder(unknown), @"an unknown process left a TIME_WAIT from 10.0.0.1:8080 to 10.0.0.2:5000 (expires in 43 s)");
}

#[test]
fn of_many_holders_the_most_likely_come_first() {
    let connection = |port: u16| row(Established, "10.0.0.1:8080", &format!("10.0.0.2:{port}"));
    let holders = vec![
        mini(TimeWait, "10.0.0.1:8080", "10.0.0.2:1"),
        connection(2),
        connection(3),
        row(Listen, SERVER, "0.0.0.0:0"),
        connection(4),
    ];
    insta::assert_snapshot!(held_by(holders).0, @"client[77] listens on 0.0.0.0:8080; client[77] has a connection in ESTABLISHED from 10.0.0.1:8080 to 10.0.0.2:2; client[77] has a connection in ESTABLISHED from 10.0.0.1:8080 to 10.0.0.2:3; and 2 more");
}

#[test]
fn a_holder_of_the_port_at_another_address_does_not_conflict() {
    let finding = |local| find("127.0.0.1:8080", Errno::EADDRINUSE, vec![row(Listen, local, "0.0.0.0:0")]);
    let no_holder = "the holder had closed before sock_diag was queried";
    assert!(finding("127.0.0.2:8080").message.ends_with(no_holder));
    assert!(finding("[::1]:8080").message.ends_with(no_holder));
    for local in ["127.0.0.1:8080", "0.0.0.0:8080", "[::]:8080", "[::ffff:127.0.0.1]:8080"] {
        assert!(finding(local).message.contains("client[77] listens on"), "{local}");
    }
}

#[test]
fn a_remedy_is_given_only_where_it_works() {
    let waiting = || mini(TimeWait, "10.0.0.1:8080", "10.0.0.2:5000");
    assert_eq!(held_by(vec![waiting(), waiting()]).1.as_deref(), Some(REUSE));
    assert_eq!(held_by(vec![waiting(), row(Listen, SERVER, "0.0.0.0:0")]).1, None);
    assert_eq!(held_by(Vec::new()).1, None);
    // SO_REUSEADDR does not help there.
    let left = mini(TimeWait, "10.0.0.1:40001", "10.0.0.1:40001");
    let remedy = find("0.0.0.0:40001", Errno::EADDRINUSE, vec![left]).remedy.unwrap_or_default();
    insta::assert_snapshot!(remedy, @"reserve the port so that the kernel does not pick it: sysctl -w net.ipv4.ip_local_reserved_ports=40001 (this replaces the list: include the ports already in it); if it was bound, do not bind the client to the port that it connects to");
    let bound = mini(TimeWait, "10.0.0.1:8080", "10.0.0.1:8080");
    insta::assert_snapshot!(held_by(vec![bound]).1.unwrap_or_default(), @"do not bind the client to the port that it connects to");
}

#[test]
fn each_error_has_its_meaning() {
    insta::assert_snapshot!(message("0.0.0.0:80", Errno::EACCES), @"late[500] could not bind 0.0.0.0:80: EACCES, a port below net.ipv4.ip_unprivileged_port_start (default 1024) requires CAP_NET_BIND_SERVICE");
    insta::assert_snapshot!(find("0.0.0.0:80", Errno::EACCES, Vec::new()).remedy.unwrap_or_default(), @"grant the process CAP_NET_BIND_SERVICE, or run sysctl -w net.ipv4.ip_unprivileged_port_start=80");
    insta::assert_snapshot!(message(SERVER, Errno::EACCES), @"late[500] could not bind 0.0.0.0:8080: EACCES, a security module denied it, or net.ipv4.ip_unprivileged_port_start is above the port");
    insta::assert_snapshot!(message("10.9.9.9:8080", Errno::EADDRNOTAVAIL), @"late[500] could not bind 10.9.9.9:8080: EADDRNOTAVAIL, no interface in its network namespace has the address");
    insta::assert_snapshot!(message(SERVER, Errno::EINVAL), @"late[500] could not bind 0.0.0.0:8080: EINVAL, the socket is already bound, or the address is not valid for it");
    insta::assert_snapshot!(message(SERVER, Errno::EAFNOSUPPORT), @"late[500] could not bind 0.0.0.0:8080: EAFNOSUPPORT, the address family differs from the socket's");
    insta::assert_snapshot!(message(SERVER, Errno::EPERM), @"late[500] could not bind 0.0.0.0:8080: EPERM, a BPF program or a security module denied it");
    insta::assert_snapshot!(message("[fe80::1]:8080", Errno::ENODEV), @"late[500] could not bind [fe80::1]:8080: ENODEV, a link-local address requires a scope id (its interface)");
    insta::assert_snapshot!(message(SERVER, Errno(12)), @"late[500] could not bind 0.0.0.0:8080: ENOMEM");
    let none_left = find("0.0.0.0:0", Errno::EADDRINUSE, Vec::new());
    insta::assert_snapshot!(none_left.message, @"late[500] could not bind 0.0.0.0:*: EADDRINUSE, no ephemeral port is free");
    assert!(none_left.remedy.is_some_and(|remedy| remedy.contains("ip_local_port_range=")));
}

#[test]
fn a_listen_that_fails_names_the_listener() {
    let endpoints = (SERVER, "0.0.0.0:0");
    let failed = Some(Cause::ListenFailed);
    let mut simulation = simulation();
    simulation.moves(1, endpoints, &[Close, Listen]);
    let findings = simulation.because(failed).moves(2, endpoints, &[Close, Listen, Close]);
    assert_eq!(findings[0].evidence.len(), 2);
    insta::assert_snapshot!(findings[0].message, @"client[100] could not listen on 0.0.0.0:8080, to which it is bound: EADDRINUSE, client[100] listens on 0.0.0.0:8080");
    // The other listener closes.
    simulation.because(None);
    assert_eq!(simulation.moves(1, endpoints, &[Listen, Close]), []);
    let findings = simulation.because(failed).moves(2, endpoints, &[Close, Listen, Close]);
    insta::assert_snapshot!(findings[0].message, @"client[100] could not listen on 0.0.0.0:8080, to which it is bound: EADDRINUSE, another socket listens on the same port");
    simulation.existing(&[diag_entry(9, Listen, "[::]:8080", "[::]:0").held_by(300, "daemon")]);
    let findings = simulation.because(failed).moves(2, endpoints, &[Close, Listen, Close]);
    insta::assert_snapshot!(findings[0].message, @"client[100] could not listen on 0.0.0.0:8080, to which it is bound: EADDRINUSE, daemon[300] listens on [::]:8080");
}

const REUSING: BindOptions = BindOptions { reuse_addr: Some(true), ..UNSHARED };

#[test]
fn only_what_proves_the_failure_is_named() {
    let holders = vec![mini(TimeWait, "10.0.0.1:8080", "10.0.0.2:5000"), row(Listen, SERVER, "0.0.0.0:0")];
    let finding = find_with(REUSING, SERVER, Errno::EADDRINUSE, holders);
    insta::assert_snapshot!(finding.message, @"late[500] could not bind 0.0.0.0:8080: EADDRINUSE, client[77] listens on 0.0.0.0:8080");
}

#[test]
fn a_holder_that_may_share_the_port_is_one_of_two_reasons() {
    let message = |options, holders| find_with(options, SERVER, Errno::EADDRINUSE, holders).message;
    let waiting = |port: u16| mini(TimeWait, "10.0.0.1:8080", &format!("10.0.0.2:{port}"));
    insta::assert_snapshot!(message(REUSING, vec![waiting(1)]), @"late[500] could not bind 0.0.0.0:8080: EADDRINUSE, either client[77] left a TIME_WAIT from 10.0.0.1:8080 to 10.0.0.2:1 (expires in 43 s) without SO_REUSEADDR, or the holder has closed since");
    insta::assert_snapshot!(message(REUSING, (1..=5).map(waiting).collect()), @"late[500] could not bind 0.0.0.0:8080: EADDRINUSE, either one of these holds it without SO_REUSEADDR, or the holder has closed since: client[77] left a TIME_WAIT from 10.0.0.1:8080 to 10.0.0.2:1 (expires in 43 s); client[77] left a TIME_WAIT from 10.0.0.1:8080 to 10.0.0.2:2 (expires in 43 s); client[77] left a TIME_WAIT from 10.0.0.1:8080 to 10.0.0.2:3 (expires in 43 s); and 2 more");
    let listener = DiagEntry {
        options: BindOptions { reuse_port: None, ..UNSHARED },
        ..row(Listen, SERVER, "0.0.0.0:0")
    };
    let options = BindOptions { reuse_port: Some(true), ..UNSHARED };
    insta::assert_snapshot!(message(options, vec![listener]), @"late[500] could not bind 0.0.0.0:8080: EADDRINUSE, either client[77] listens on 0.0.0.0:8080 without SO_REUSEPORT, or the holder has closed since");
    let bound = row(Close, SERVER, "0.0.0.0:0");
    insta::assert_snapshot!(message(BindOptions { reuse_port: Some(true), ..REUSING }, vec![bound.clone()]), @"late[500] could not bind 0.0.0.0:8080: EADDRINUSE, either client[77] is bound to 0.0.0.0:8080 without SO_REUSEADDR and SO_REUSEPORT, or the holder has closed since");
    insta::assert_snapshot!(message(BindOptions::default(), vec![bound]), @"late[500] could not bind 0.0.0.0:8080: EADDRINUSE, either client[77] is bound to 0.0.0.0:8080, or the holder has closed since");
}

#[test]
fn without_a_holder_the_message_says_why() {
    insta::assert_snapshot!(held_by(Vec::new()).0, @"the holder had closed before sock_diag was queried");
    let mut host = host();
    let absent = failure(UNSHARED, SERVER, Errno::EADDRINUSE, Vec::new());
    let reason = |host: &Host, failure: &BindFailure| {
        BindFailed::new(host).bind_failed(failure).expect("it is a finding").message
    };
    insta::assert_snapshot!(reason(&host, &BindFailure { is_queried: false, ..absent.clone() }), @"late[500] could not bind 0.0.0.0:8080: EADDRINUSE, sock_diag was not queried in its namespace");
    host.kernel = "6.1.0".to_owned();
    insta::assert_snapshot!(reason(&host, &absent), @"late[500] could not bind 0.0.0.0:8080: EADDRINUSE, the holder had closed before sock_diag was queried, or it is only bound (which sock_diag does not list before Linux 6.8)");
}

#[test]
fn an_attempt_that_fails_as_before_is_reported_once_a_minute() {
    let mut simulation = simulation();
    let mut fails = |at: u64, pid, holder| {
        let listener = DiagEntry { cookie: holder, ..row(Listen, SERVER, "0.0.0.0:0") };
        let mut failure = failure(UNSHARED, SERVER, Errno::EADDRINUSE, vec![listener]);
        failure.at = Mono(at * 1_000_000_000);
        failure.task = Some(task(pid, "late"));
        simulation.detector().bind_failed(&failure).is_some()
    };
    assert_eq!([0, 1, 59].map(|at| fails(at, 500, 1)), [true, false, false]);
    assert!(fails(59, 501, 1), "another process");
    assert!(fails(59, 500, 2), "another holder");
    assert_eq!([60, 61, 120].map(|at| fails(at, 500, 1)), [true, false, true]);
}
