//! Snapshots of sockets with known owner, state and namespace.

use std::{
    net::TcpListener,
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
};

use socket2::{Domain, SockAddr, Socket, Type};

use super::*;
use crate::{
    model::{Known, Owner, State},
    net::Tcp,
    os::testing::eventually,
};

/// Starts cat(1), which holds this socket unused until its stdin closes.
fn holder(socket: OwnedFd) -> Child {
    Command::new("cat").stdin(Stdio::piped()).stdout(socket).spawn().unwrap()
}

fn stop(mut child: Child) {
    drop(child.stdin.take());
    child.wait().unwrap();
}

fn sockets_of(snapshot: &Snapshot, netns: u32) -> Vec<&DiagEntry> {
    snapshot.sockets.iter().flatten().filter(|socket| socket.identity.netns == netns).collect()
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_socket_of_a_process_in_another_namespace_is_listed() {
    let inside = Namespace::private().unwrap();
    let start = || {
        let listener = TcpListener::bind("127.0.0.1:1314").unwrap();
        (holder(listener.into()), TcpListener::bind("[::1]:1315").unwrap())
    };
    let (child, own) = inside.enter(start).unwrap();
    let before = clock::now();
    let snapshot = take();
    assert!(before <= snapshot.at && snapshot.at <= clock::now());

    let sockets = sockets_of(&snapshot, inside.inode());
    let [first, second] = sockets.as_slice() else { panic!("{sockets:?}") };
    assert_eq!((first.state, first.identity.endpoints.local.port_or_zero()), (State::Listen, 1314));
    assert_eq!((first.owner.known, first.identity.protocol), (Known::Inferred, Protocol::Tcp));
    let task = first.owner.task.clone().unwrap();
    assert_eq!((task.pid, task.uid, task.comm.as_bytes()), (child.id(), 0, &b"cat"[..]));
    assert_eq!(first.owner.cgroup, Cgroups::new().of_process(child.id()));
    assert_eq!(second.owner.task.as_ref().unwrap().pid, std::process::id());
    assert_eq!(second.identity.endpoints.local.port_or_zero(), 1315);
    drop(own);
    stop(child);
    eventually("both sockets are closed", || sockets_of(&take(), inside.inode()).is_empty());
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_time_wait_socket_has_no_owner() {
    let inside = Namespace::private().unwrap();
    let check = || {
        let soon = std::time::Instant::now() + std::time::Duration::from_secs(5);
        let local = "127.0.0.1:1314".parse().unwrap();
        let socket = Tcp::bound(local).unwrap();
        socket.connect(local, soon).unwrap();
        let cookie = socket.cookie().unwrap();
        drop(socket);
        let mut snapshot = take();
        eventually("the socket is closed", || {
            snapshot = take();
            sockets_of(&snapshot, inside.inode()).iter().all(|socket| socket.expires.is_some())
        });
        let [socket] = sockets_of(&snapshot, inside.inode())[..] else { panic!("{snapshot:?}") };
        assert_eq!((socket.state, socket.cookie), (State::TimeWait, cookie));
        assert_eq!(*socket.owner, Owner::UNKNOWN);
        assert!(socket.expires.is_some());
    };
    inside.enter(check).unwrap();
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn mptcp_sockets_are_listed_in_addition_to_their_subflows() {
    let inside = Namespace::private().unwrap();
    let check = || {
        // A kernel without MPTCP has no such sockets to list.
        let Ok(socket) = Socket::new(Domain::IPV4, Type::STREAM, Some(socket2::Protocol::MPTCP)) else {
            return;
        };
        let local = std::net::SocketAddr::from(([127, 0, 0, 1], 1314));
        socket.bind(&SockAddr::from(local)).unwrap();
        socket.listen(1).unwrap();
        let snapshot = take();
        let sockets = sockets_of(&snapshot, inside.inode());
        let protocols: Vec<_> =
            sockets.iter().map(|socket| (socket.identity.protocol, socket.state)).collect();
        assert_eq!(protocols, [(Protocol::Tcp, State::Listen), (Protocol::Mptcp, State::Listen)]);
        assert_eq!(sockets[1].cookie, socket.cookie().unwrap());
        for socket in sockets {
            assert_eq!(socket.owner.task.as_ref().unwrap().pid, std::process::id());
        }
    };
    inside.enter(check).unwrap();
}

#[test]
fn missing_sockets_and_owners_are_reported_with_the_reason() {
    let mut unavailable = Unavailable::default();
    for reason in ["no tcp_diag", "no permission", "no tcp_diag"] {
        unavailable.add(reason.to_owned());
    }
    let lines = unavailable.into_lines(1, 2);
    assert_eq!(lines[0], "the existing sockets of 1 network namespace are not listed: no permission");
    assert_eq!(lines[1], "the existing sockets of 2 network namespaces are not listed: no tcp_diag");
    assert_eq!(
        lines[2],
        "some existing sockets may be hidden: reading the network namespace of 1 process or thread is not permitted \
         (needs CAP_SYS_PTRACE, and a security module that allows it)"
    );
    assert_eq!(
        lines[3],
        "owners of some existing sockets may be unknown: reading the descriptors of 2 processes is not permitted (needs \
         CAP_SYS_PTRACE, and a security module that allows it)"
    );
}
