//! The programs on the running kernel: identity, owners, generations and losses.

mod bind;
mod nested;
mod reset;
mod selection;
mod stack;

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use super::*;
use crate::{
    model::{Backend, Errno, Family, Known, Protocol, Report, State},
    net::{Namespace, Tcp, host},
};

/// A port that only these tests use: without type information, reports do not contain the namespace.
const PORT: u16 = 2417;
/// A port on which no socket listens.
const CLOSED: u16 = 2418;

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
}

fn attach(options: &LiveOptions) -> Live {
    Live::attach(options, host::facts()).unwrap()
}

/// Both backends, and the classic one on a host without type information.
fn every_backend() -> [LiveOptions; 3] {
    let with =
        |backend, without_btf| LiveOptions { backend: Some(backend), without_btf, ..LiveOptions::default() };
    [with(Backend::TpBtf, false), with(Backend::Tracepoint, false), with(Backend::Tracepoint, true)]
}

/// Everything delivered until `enough` accepts it.
async fn until(live: &mut Live, enough: impl Fn(&[Input]) -> bool) -> Vec<Input> {
    let (deadline, mut events) = (deadline(), Vec::new());
    while !enough(&events) {
        assert!(
            Instant::now() < deadline,
            "not reported within the deadline; {} other events were",
            events.len()
        );
        live.deliver(&mut events).await.unwrap();
    }
    events
}

fn reports(events: &[Input]) -> impl Iterator<Item = &Report> {
    events.iter().filter_map(|event| match event {
        Input::Report(report) => Some(report),
        _ => None,
    })
}

/// The opening transitions of sockets that connect to this port.
fn connects(events: &[Input], port: u16) -> impl Iterator<Item = &Report> {
    reports(events)
        .filter(move |report| report.new == State::SynSent && report.ends.remote.port_or_zero() == port)
}

/// Another process, which connects, holds the connection until its stdin ends, and closes it.
fn client_process(server: SocketAddr) -> Child {
    let connect = format!("exec 3<>/dev/tcp/{}/{} && read -r _", server.ip(), server.port());
    Command::new("bash").args(["-c", &connect]).stdin(Stdio::piped()).spawn().unwrap()
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn a_child_belongs_to_its_listeners_owner_and_not_to_the_current_task() {
    for options in every_backend() {
        let mut live = attach(&options);
        let inside = Namespace::private().unwrap();
        let listener = inside.enter(|| Tcp::listening(loopback(PORT))).unwrap().unwrap();
        let mut client = inside.enter(|| client_process(loopback(PORT))).unwrap();
        drop(listener.accept(deadline()).unwrap());
        drop(client.stdin.take());
        client.wait().unwrap();

        let is_child = |report: &&Report| {
            (report.old, report.new, report.ends.local.port_or_zero())
                == (State::Listen, State::SynRecv, PORT)
        };
        let events = until(&mut live, |events| reports(events).any(|report| is_child(&report))).await;
        // On loopback the child's first event runs in the client's connect: bash is the current task.
        let child = reports(&events).find(is_child).unwrap().opened.as_ref().unwrap();
        match live.decoder.backend() {
            Backend::TpBtf => {
                assert_eq!(child.known, Known::Listener);
                assert_eq!(child.owner.as_ref().map(|owner| owner.pid), Some(live.pid()));
            }
            Backend::Tracepoint => assert_eq!((child.known, &child.owner), (Known::Unknown, &None)),
        }
        let connect = connects(&events, PORT).next().unwrap().opened.as_ref().unwrap();
        let owner = connect.owner.as_ref().unwrap();
        assert_eq!((connect.known, owner.pid, &*owner.comm.to_text()), (Known::Exact, client.id(), "bash"));
    }
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn a_socket_that_is_connected_again_has_a_second_generation() {
    for options in every_backend() {
        let mut live = attach(&options);
        let inside = Namespace::private().unwrap();
        let client = inside.enter(|| Tcp::new(Family::Ipv4)).unwrap().unwrap();
        let refused = |error: crate::net::SocketError| assert_eq!(error.errno(), Some(Errno::ECONNREFUSED));
        refused(client.connect(loopback(CLOSED), deadline()).unwrap_err());
        // The first call has taken the error from SO_ERROR. connect(2) still finds the socket connecting, returns
        // ECONNABORTED and disconnects it (inet_stream_connect).
        let aborted = client.begin_connect(loopback(CLOSED)).unwrap_err();
        assert_eq!(aborted.errno(), Some(Errno::ECONNABORTED));
        refused(client.connect(loopback(CLOSED), deadline()).unwrap_err());
        let events = until(&mut live, |events| connects(events, CLOSED).count() == 2).await;
        let opened: Vec<_> = connects(&events, CLOSED)
            .map(|report| (report.socket, report.opened.as_ref().unwrap().generation))
            .collect();
        assert_eq!(opened[0].0, opened[1].0);
        assert_eq!(opened[0].1 + 1, opened[1].1);
        // `inet_sport` keeps the first connection's port until the second one gets its own.
        let has_a_port = connects(&events, CLOSED).any(|report| report.ends.local.port.is_some());
        assert_eq!(has_a_port, options.without_btf);
    }
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn each_connection_of_a_socket_has_a_higher_generation() {
    for options in every_backend() {
        let mut live = attach(&options);
        let inside = Namespace::private().unwrap();
        let listener = inside.enter(|| Tcp::listening(loopback(PORT))).unwrap().unwrap();
        let client = inside.enter(|| Tcp::new(Family::Ipv4)).unwrap().unwrap();
        for _ in 0..3 {
            client.connect(loopback(PORT), deadline()).unwrap();
            drop(listener.accept(deadline()).unwrap());
            client.disconnect().unwrap();
        }
        let events = until(&mut live, |events| connects(events, PORT).count() == 3).await;
        let generations: Vec<_> =
            connects(&events, PORT).map(|report| report.opened.as_ref().unwrap().generation).collect();
        // An earlier socket may have had the same address, which identifies sockets on the classic backend.
        let first = generations[0];
        assert_eq!(generations, [first, first + 1, first + 2]);
        if live.decoder.backend() == Backend::TpBtf {
            assert_eq!(first, 1);
        }
    }
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn records_without_room_in_the_ring_are_counted() {
    const TRIES: u64 = 100;
    let mut live = attach(&LiveOptions { ring_bytes: Some(4096), ..LiveOptions::default() });
    let inside = Namespace::private().unwrap();
    inside
        .enter(|| {
            for _ in 0..TRIES {
                Tcp::new(Family::Ipv4).unwrap().connect(loopback(CLOSED), deadline()).unwrap_err();
            }
        })
        .unwrap();
    let lost = |events: &[Input]| -> u64 {
        let count = |event: &Input| if let Input::Lost { count, .. } = event { *count } else { 0 };
        events.iter().map(count).sum()
    };
    let seen = |events: &[Input]| {
        reports(events).filter(|report| report.netns == Some(inside.inode())).count() as u64
    };
    // Each try is two transitions. Records of other sockets of the host may have been lost, too.
    let events = until(&mut live, |events| seen(events) + lost(events) >= 2 * TRIES).await;
    assert!(seen(&events) < 2 * TRIES, "{} seen, {} lost", seen(&events), lost(&events));
}

#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn mptcp_sockets_are_distinguished_from_their_subflows() {
    for options in every_backend() {
        let inside = Namespace::private().unwrap();
        let mptcp = || Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(socket2::Protocol::MPTCP));
        let client = match inside.enter(mptcp).unwrap() {
            Ok(socket) => socket,
            // This kernel has no MPTCP.
            Err(error) => return assert_eq!(error.raw_os_error(), Some(nix::libc::EPROTONOSUPPORT)),
        };
        let mut live = attach(&options);
        // In progress, or refused already: both sockets have made a transition in either case.
        client.connect(&loopback(CLOSED).into()).unwrap_err();
        let own = |report: &&Report| report.netns.is_none_or(|netns| netns == inside.inode());
        // The MPTCP socket has no port; its subflows have.
        let reported = |events: &[Input], protocol| {
            reports(events).filter(own).any(|report| report.protocol == protocol)
        };
        let both = [Protocol::Tcp, Protocol::Mptcp];
        until(&mut live, |events| both.into_iter().all(|protocol| reported(events, protocol))).await;
    }
}
