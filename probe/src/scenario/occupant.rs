//! Who is in the way of a bind.

use std::net::SocketAddr;

use crate::{
    model::{Endpoint, State},
    net::sock_diag,
    os::process,
};

/// What sock_diag and /proc tell of the socket that has the port in the calling thread's namespace, after a
/// comma; nothing where they do not (they list no socket that is only bound).
pub(super) fn occupant(local: SocketAddr) -> String {
    let wanted = Endpoint::from(local).canonical();
    let sockets = sock_diag::tcp_sockets().unwrap_or_default();
    let in_the_way = sockets.iter().find(|socket| {
        let has = socket.ends.local.canonical();
        has.port == wanted.port && (has.addr == wanted.addr || has.addr.is_unspecified())
    });
    let Some(socket) = in_the_way else { return String::new() };
    if socket.state == State::TimeWait {
        // No process holds it any more, so what it was shows by its ends alone.
        let peer = if socket.ends.is_self() { "itself".to_owned() } else { socket.ends.remote.to_string() };
        return format!(
            ", by the TIME_WAIT of its connection with {peer}, which lasts a minute and which an earlier round \
             leaves too"
        );
    }
    let holder = socket.inode.and_then(|inode| process::socket_holders().remove(&inode));
    let whose = holder.map(|task| format!(" of {}[{}]", task.comm, task.pid)).unwrap_or_default();
    format!(", by a socket{whose} in {}", socket.state)
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
    fn an_earlier_self_connect_is_told_from_another_process() {
        let local: SocketAddr = "127.0.0.1:1314".parse().unwrap();
        let check = || {
            assert_eq!(occupant(local), "");
            let soon = Instant::now() + Duration::from_secs(5);
            let socket = Tcp::bound(local).unwrap();
            socket.connect(local, soon).unwrap();
            let held = occupant(local);
            assert!(held.contains(&format!("[{}] in ESTABLISHED", std::process::id())), "{held}");
            socket.shutdown(Shutdown::Write).unwrap();
            socket.read_to_end(soon).unwrap();
            let left = occupant(local);
            assert!(left.contains("TIME_WAIT of its connection with itself"), "{left}");
        };
        Namespace::private().unwrap().enter(check).unwrap();
    }
}
