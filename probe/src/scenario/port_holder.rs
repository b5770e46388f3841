//! Which socket holds a port that a bind was refused.

use std::net::SocketAddr;

use crate::{
    model::{Endpoint, State},
    net::sock_diag,
    os::process,
};

/// Describes the socket that holds the port in the calling thread's namespace, from sock_diag and /proc: `,
/// held by …`. Empty if neither lists one; sock_diag does not list a socket that is only bound.
pub(super) fn port_holder(local: SocketAddr) -> String {
    let wanted = Endpoint::from(local).canonical();
    let sockets = sock_diag::tcp_sockets().unwrap_or_default();
    let holder = sockets.iter().find(|socket| {
        let bound = socket.endpoints.local.canonical();
        bound.port == wanted.port && (bound.addr == wanted.addr || bound.addr.is_unspecified())
    });
    let Some(socket) = holder else { return String::new() };
    if socket.state == State::TimeWait {
        // A TIME_WAIT has no owner; only its endpoints say what it was.
        let peer = if socket.endpoints.is_self() {
            "itself".to_owned()
        } else {
            socket.endpoints.remote.to_string()
        };
        return format!(
            ", held by the TIME_WAIT of a connection with {peer}, which lasts a minute; an earlier run may have left it"
        );
    }
    let owner = socket.inode.and_then(|inode| process::socket_holders().remove(&inode));
    let owner = owner.map(|task| format!(" of {}[{}]", task.comm, task.pid)).unwrap_or_default();
    format!(", held by a socket{owner} in {}", socket.state)
}

#[cfg(test)]
mod tests {
    use std::{
        net::Shutdown,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::net::{Namespace, Tcp};

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn the_time_wait_of_a_self_connect_is_distinguished_from_an_open_socket() {
        let local: SocketAddr = "127.0.0.1:1314".parse().unwrap();
        let check = || {
            assert_eq!(port_holder(local), "");
            let deadline = Instant::now() + Duration::from_secs(5);
            let socket = Tcp::bound(local).unwrap();
            socket.connect(local, deadline).unwrap();
            let held = port_holder(local);
            assert!(held.contains(&format!("[{}] in ESTABLISHED", std::process::id())), "{held}");
            socket.shutdown(Shutdown::Write).unwrap();
            socket.read_to_end(deadline).unwrap();
            let left = port_holder(local);
            assert!(left.contains("TIME_WAIT of a connection with itself"), "{left}");
        };
        Namespace::private().unwrap().enter(check).unwrap();
    }
}
