//! What user space needs from the kernel: socket lists, network namespaces, devices, cgroups.

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

/// The facilities of the user side, and the sockets of the snapshot taken to try them.
pub fn facilities(namespaces: &Namespaces) -> (Vec<Facility>, Vec<DiagEntry>) {
    // Taken before test sockets are opened.
    let snapshot = snapshot::take();
    let [private, tun] = private();
    let facilities =
        vec![tcp(), bound(), mptcp(), reachable(namespaces), existing(&snapshot), cgroup(), private, tun];
    (facilities, snapshot.sockets.unwrap_or_default())
}

/// A port chosen by the kernel, on loopback.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn tcp() -> Facility {
    let subject = subject(
        "sock_diag for TCP",
        "existing sockets, --time-wait, port holders, hazards; the socket lists of run",
    );
    match SockDiag::open().and_then(|mut diag| diag.all(Protocol::Tcp)) {
        Ok(sockets) => {
            subject.ok(format!("{} in this network namespace", counted(sockets.len(), "socket", "sockets")))
        }
        Err(error) => subject.failed(error),
    }
}

fn bound() -> Facility {
    let subject = subject(
        "sock_diag, bound only",
        "the holder of a port in bind-failed findings, if its socket is bound but neither listens nor is connected",
    );
    let bind =
        || Tcp::bound(LOOPBACK).and_then(|socket| Ok((socket.cookie()?, socket.local()?.port(), socket)));
    let (cookie, port, _open) = match bind() {
        Ok(bound) => bound,
        Err(error) => return subject.unknown(error.to_string()),
    };
    match SockDiag::open().and_then(|mut diag| diag.with_local_port(port)) {
        Ok(sockets) if sockets.iter().any(|socket| socket.cookie == cookie) => {
            subject.ok("listed a test socket")
        }
        Ok(_) => subject.unavailable("did not list a test socket", "run Linux 6.8 or later"),
        Err(error) => subject.unknown(error.to_string()),
    }
}

fn mptcp() -> Facility {
    let subject = subject("sock_diag for MPTCP", "existing MPTCP sockets; their subflows are listed as TCP");
    let (_open, port) = match listen_mptcp() {
        Ok(listening) => listening,
        // Disabled by net.mptcp.enabled, or built without CONFIG_MPTCP.
        Err(error) => return subject.ok(format!("not needed, because MPTCP is unavailable here: {error}")),
    };
    match SockDiag::open().and_then(|mut diag| diag.all(Protocol::Mptcp)) {
        Ok(sockets) if sockets.iter().any(|socket| socket.endpoints.local.port_or_zero() == port) => {
            subject.ok("listed a test listener")
        }
        Ok(_) => subject.unavailable(
            "did not list a test listener",
            "modprobe mptcp_diag, or run a kernel built with CONFIG_INET_MPTCP_DIAG",
        ),
        Err(error) => subject.failed(error),
    }
}

/// Opens an MPTCP listener; returns it and its port.
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
        "in namespaces that cannot be entered: existing sockets, port holders, --time-wait, hazards",
    );
    let enter = |namespace: &Namespace| namespace.enter(|| ()).is_ok();
    let (entered, closed): (Vec<_>, Vec<_>) = namespaces.iter().partition(enter);
    let reachable = format!("{} can be entered", counted(entered.len(), "namespace", "namespaces"));
    match (closed.len(), namespaces.hidden()) {
        (0, 0) => subject.ok(reachable),
        (closed, hidden) => {
            let closed = (closed > 0).then(|| format!("{closed} cannot be entered"));
            let hidden = (hidden > 0).then(|| {
                format!(
                    "reading the namespace of {} is not permitted",
                    counted(hidden, "process or thread", "processes and threads")
                )
            });
            let parts: Vec<_> = [Some(reachable), closed, hidden].into_iter().flatten().collect();
            subject.unavailable(
                parts.join("; "),
                "run as root (CAP_SYS_PTRACE and CAP_SYS_ADMIN), outside containers and sandboxes",
            )
        }
    }
}

fn existing(snapshot: &Snapshot) -> Facility {
    let subject = subject(
        "sockets and their owners",
        "existing sockets and their owners in a trace; the holder of a port in bind-failed findings",
    );
    let listed = snapshot.sockets.as_ref().map(|sockets| counted(sockets.len(), "socket", "sockets"));
    match listed {
        Some(listed) if snapshot.unavailable.is_empty() => {
            subject.ok(format!("{listed} in all network namespaces; owners searched in all of /proc"))
        }
        listed => {
            let found: Vec<String> = listed.into_iter().chain(snapshot.unavailable.iter().cloned()).collect();
            subject.found(FacilityStatus::Unavailable, found.join("; "), None)
        }
    }
}

fn cgroup() -> Facility {
    let subject = subject("cgroup v2", "the cgroups and containers of owners; --cgroup");
    match Cgroups::new().of_process(process::id()).and_then(|own| own.path) {
        Some(path) => subject.ok(format!("this process is in {path}")),
        None => subject.unavailable(
            "the cgroup of this process is in no mounted hierarchy",
            "mount -t cgroup2 none /sys/fs/cgroup",
        ),
    }
}

/// Creates a network namespace and a TUN device in it; both vanish at once.
fn private() -> [Facility; 2] {
    let namespace = subject("private namespace", "audit, and run without --netns host");
    let device = subject(
        "TUN device",
        "the emulated link: audit, and simultaneous-open of run without --wire loopback",
    );
    match Namespace::private() {
        Ok(inside) => {
            let tun = match inside.enter(|| Tun::open("probe%d").map(drop)) {
                Ok(Ok(())) => device.ok("created in the private namespace"),
                Ok(Err(error)) => device.failed(error),
                Err(error) => device.unknown(error.to_string()),
            };
            [namespace.ok("created and entered"), tun]
        }
        Err(error) => {
            [namespace.failed(error), device.unknown("there is no private namespace to create it in")]
        }
    }
}

fn counted(count: usize, singular: &str, plural: &str) -> String {
    format!("{count} {}", if count == 1 { singular } else { plural })
}
