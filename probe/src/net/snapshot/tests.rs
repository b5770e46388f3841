//! Snapshots of sockets whose holder, state and namespace are known.

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

/// A cat(1) that holds this socket and does nothing with it, until its input ends.
fn holder(socket: OwnedFd) -> Child {
    Command::new("cat").stdin(Stdio::piped()).stdout(socket).spawn().unwrap()
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    child.wait().unwrap();
}

fn of(snapshot: &Snapshot, netns: u32) -> Vec<&DiagEntry> {
    snapshot.sockets.iter().filter(|socket| socket.netns == netns).collect()
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_child_in_another_namespace_is_found_with_its_socket() {
    let inside = Namespace::private().unwrap();
    let start = || {
        let listener = TcpListener::bind("127.0.0.1:1314").unwrap();
        (holder(listener.into()), TcpListener::bind("[::1]:1315").unwrap())
    };
    let (child, own) = inside.enter(start).unwrap();
    let before = clock::now();
    let snapshot = take();
    assert!(before <= snapshot.at && snapshot.at <= clock::now());

    let sockets = of(&snapshot, inside.inode());
    let [first, second] = sockets.as_slice() else { panic!("{sockets:?}") };
    assert_eq!((first.state, first.ends.local.port_or_zero()), (State::Listen, 1314));
    assert_eq!((first.owner.known, first.protocol), (Known::Inferred, Protocol::Tcp));
    let task = first.owner.task.clone().unwrap();
    assert_eq!((task.pid, task.uid, task.comm.as_bytes()), (child.id(), 0, &b"cat"[..]));
    assert_eq!(first.owner.cgroup, Cgroups::new().of_process(child.id()));
    assert_eq!(second.owner.task.as_ref().unwrap().pid, std::process::id());
    assert_eq!(second.ends.local.port_or_zero(), 1315);
    drop(own);
    end(child);
    eventually("both are gone", || of(&take(), inside.inode()).is_empty());
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn what_nobody_holds_has_no_owner() {
    let inside = Namespace::private().unwrap();
    let check = || {
        let soon = std::time::Instant::now() + std::time::Duration::from_secs(5);
        let local = "127.0.0.1:1314".parse().unwrap();
        let socket = Tcp::bound(local).unwrap();
        socket.connect(local, soon).unwrap();
        let cookie = socket.cookie().unwrap();
        drop(socket);
        let mut snapshot = take();
        eventually("it is closed", || {
            snapshot = take();
            of(&snapshot, inside.inode()).iter().all(|socket| socket.expires.is_some())
        });
        let [socket] = of(&snapshot, inside.inode())[..] else { panic!("{snapshot:?}") };
        assert_eq!((socket.state, socket.cookie), (State::TimeWait, cookie));
        assert_eq!(*socket.owner, Owner::UNKNOWN);
        assert!(socket.expires.is_some());
    };
    inside.enter(check).unwrap();
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn mptcps_own_sockets_are_listed_beside_their_subflows() {
    let inside = Namespace::private().unwrap();
    let check = || {
        // A kernel without it refuses, and has none to list.
        let Ok(socket) = Socket::new(Domain::IPV4, Type::STREAM, Some(socket2::Protocol::MPTCP)) else {
            return;
        };
        let local = std::net::SocketAddr::from(([127, 0, 0, 1], 1314));
        socket.bind(&SockAddr::from(local)).unwrap();
        socket.listen(1).unwrap();
        let snapshot = take();
        let sockets = of(&snapshot, inside.inode());
        let protocols: Vec<_> = sockets.iter().map(|socket| (socket.protocol, socket.state)).collect();
        assert_eq!(protocols, [(Protocol::Tcp, State::Listen), (Protocol::Mptcp, State::Listen)]);
        assert_eq!(sockets[1].cookie, socket.cookie().unwrap());
        for socket in sockets {
            assert_eq!(socket.owner.task.as_ref().unwrap().pid, std::process::id());
        }
    };
    inside.enter(check).unwrap();
}

#[test]
fn what_could_not_be_seen_is_said() {
    let mut off = Off::default();
    for why in ["no tcp_diag", "no way in", "no tcp_diag"] {
        off.note(why.to_owned());
    }
    let lines = off.told(0, 2);
    assert_eq!(lines[0], "sockets that were there already, in 2 network namespaces: no tcp_diag");
    assert_eq!(lines[1], "sockets that were there already, in one network namespace: no way in");
    assert_eq!(
        lines[2],
        "owners of sockets that were there already, where it is one of 2 processes that may not be looked at: this \
         needs CAP_SYS_PTRACE, and a security module that allows it"
    );
}
