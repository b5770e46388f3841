//! What the tool asks of the kernel besides: lists of sockets, namespaces, devices, cgroups.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process,
};

use socket2::{Domain, Socket, Type};

use super::Subject;
use crate::{
    model::{DiagEntry, Facility, FacilityGroup, FacilityStatus, Protocol},
    net::{
        Namespace, Tcp,
        namespaces::Namespaces,
        snapshot::{self, Snapshot},
        sock_diag::SockDiag,
        tun::Tun,
    },
    os::cgroup::Cgroups,
};

const fn subject(name: &'static str, costs: &'static str) -> Subject {
    Subject { group: FacilityGroup::User, name, costs }
}

/// Everything of the user side, and the sockets that were seen by the way.
pub fn facilities(namespaces: &Namespaces) -> (Vec<Facility>, Vec<DiagEntry>) {
    // Before the sockets that are opened to see.
    let snapshot = snapshot::take();
    let [private, tun] = private();
    let facilities =
        vec![tcp(), bound(), mptcp(), reachable(namespaces), existing(&snapshot), cgroup(), private, tun];
    (facilities, snapshot.sockets)
}

/// A port of the kernel's choice, where nobody else comes by.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn tcp() -> Facility {
    let subject = subject(
        "sock_diag for TCP",
        "sockets older than the trace, --time-wait, holders of ports, hazards; the lists of run",
    );
    match SockDiag::open().and_then(|mut diag| diag.all(Protocol::Tcp)) {
        Ok(sockets) => subject.ok(format!("{} in this network namespace", counted(sockets.len()))),
        Err(error) => subject.failed(error),
    }
}

fn bound() -> Facility {
    let subject = subject(
        "sock_diag, bound only",
        "of a bind that failed: the holder of the port, where it has bound the port and done no more",
    );
    let bind =
        || Tcp::bound(LOOPBACK).and_then(|socket| Ok((socket.cookie()?, socket.local()?.port(), socket)));
    let (cookie, port, _open) = match bind() {
        Ok(bound) => bound,
        Err(error) => return subject.unknown(error.to_string()),
    };
    match SockDiag::open().and_then(|mut diag| diag.with_local_port(port)) {
        Ok(sockets) if sockets.iter().any(|socket| socket.cookie == cookie) => {
            subject.ok("a socket bound to see was listed")
        }
        Ok(_) => subject.lacking("a socket bound to see was not listed", "Linux 6.8"),
        Err(error) => subject.unknown(error.to_string()),
    }
}

fn mptcp() -> Facility {
    let subject =
        subject("sock_diag for MPTCP", "MPTCP sockets older than the trace; their subflows are seen");
    let (_open, port) = match listen_mptcp() {
        Ok(listening) => listening,
        // Switched off (net.mptcp.enabled), or not built in.
        Err(error) => return subject.ok(format!("not needed, there is no MPTCP here: {error}")),
    };
    match SockDiag::open().and_then(|mut diag| diag.all(Protocol::Mptcp)) {
        Ok(sockets) if sockets.iter().any(|socket| socket.ends.local.port_or_zero() == port) => {
            subject.ok("a listener opened to see was listed")
        }
        Ok(_) => subject.lacking(
            "a listener opened to see was not listed",
            "a kernel with CONFIG_INET_MPTCP_DIAG, or modprobe mptcp_diag",
        ),
        Err(error) => subject.failed(error),
    }
}

/// A listener, and its port.
fn listen_mptcp() -> io::Result<(Socket, u16)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(socket2::Protocol::MPTCP))?;
    socket.bind(&LOOPBACK.into())?;
    socket.listen(1)?;
    let port = socket.local_addr()?.as_socket().map_or(0, |local| local.port());
    Ok((socket, port))
}

fn reachable(namespaces: &Namespaces) -> Facility {
    let subject = subject(
        "network namespaces",
        "of those that cannot be seen: sockets older than the trace, holders of ports, --time-wait, hazards",
    );
    let enter = |namespace: &Namespace| namespace.enter(|| ()).is_ok();
    let (entered, closed): (Vec<_>, Vec<_>) = namespaces.iter().partition(enter);
    let seen = format!("{} reachable", entered.len());
    match (closed.len(), namespaces.hidden()) {
        (0, 0) => subject.ok(seen),
        (closed, hidden) => {
            let closed = (closed > 0).then(|| format!("{closed} may not be entered"));
            let hidden = (hidden > 0).then(|| format!("processes and threads out of sight: {hidden}"));
            let parts: Vec<_> = [Some(seen), closed, hidden].into_iter().flatten().collect();
            subject.lacking(
                parts.join("; "),
                "run as root (CAP_SYS_PTRACE, CAP_SYS_ADMIN), outside of containers and sandboxes",
            )
        }
    }
}

fn existing(snapshot: &Snapshot) -> Facility {
    let subject = subject(
        "sockets and their owners",
        "what a trace knows of sockets older than itself, and who holds a port that bind cannot have",
    );
    let seen = counted(snapshot.sockets.len());
    if snapshot.unavailable.is_empty() {
        subject.ok(format!("{seen} in all of them, their owners looked for in all of /proc"))
    } else {
        subject.found(
            FacilityStatus::Unavailable,
            format!("{seen}; not seen: {}", snapshot.unavailable.join("; ")),
            None,
        )
    }
}

fn cgroup() -> Facility {
    let subject = subject("cgroup v2", "owners' cgroups and containers, --cgroup");
    match Cgroups::new().of_process(process::id()).and_then(|own| own.path) {
        Some(path) => subject.ok(format!("this process is in {path}")),
        None => subject.lacking(
            "this process's cgroup is in no hierarchy that is mounted here",
            "mount -t cgroup2 none /sys/fs/cgroup",
        ),
    }
}

/// A network namespace, and what is made in it; both are gone again at once.
fn private() -> [Facility; 2] {
    let namespace = subject("private namespace", "run, but for --netns host");
    let device =
        subject("TUN device", "simultaneous-open over the emulated link: run, but for --wire loopback");
    match Namespace::private() {
        Ok(inside) => {
            let tun = match inside.enter(|| Tun::open("probe%d").map(drop)) {
                Ok(Ok(())) => device.ok("made in the private namespace"),
                Ok(Err(error)) => device.failed(error),
                Err(error) => device.unknown(error.to_string()),
            };
            [namespace.ok("made, and entered"), tun]
        }
        Err(error) => [namespace.failed(error), device.unknown("there is no namespace to make it in")],
    }
}

fn counted(sockets: usize) -> String {
    if sockets == 1 { "1 socket".to_owned() } else { format!("{sockets} sockets") }
}
