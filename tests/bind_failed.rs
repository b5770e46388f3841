//! Calls of bind(2) and listen(2) that fail, and who it is that has the port.

use crate::{
    actor::Actor,
    findings::{only, says},
    support::number,
    tracing::{BACKENDS, Stage},
};

/// Has a process not get a port that another has by then, with a trace that looks on from the beginning or comes in
/// between, and holds what is found against these words. `HOLDER` is the other's name with its process id.
#[track_caller]
fn held(words: &[&str], hold: impl Fn(&Actor), fail: impl Fn(&Actor)) {
    for backend in BACKENDS {
        for was_there in [false, true] {
            let inside = probe::net::Namespace::private().unwrap();
            let flags = format!("--backend {backend} --only bind-failed");
            let early = (!was_there).then(|| Stage::of(inside.clone(), &flags));
            let [holder, late] = ["holder", "late"].map(|name| Actor::inside(&inside, name));
            hold(&holder);
            let mut stage = early.unwrap_or_else(|| Stage::of(inside, &flags));
            fail(&late);
            stage.wait_for("finding", 1);
            let objects = stage.end();
            let (message, _) = only(&objects, "bind-failed", &late);
            let holder = format!("holder[{}]", holder.pid());
            for word in words {
                says(message, &[&word.replace("HOLDER", &holder)]);
            }
            says(message, &[&format!("late[{}]", late.pid())]);
            let finding = objects.one("finding");
            assert_eq!(number(&finding["local"]["port"]), 7000, "{backend} {was_there}: {finding}");
            assert_eq!(finding["owner"]["known"], "exact", "{backend} {was_there}: {finding}");
        }
    }
}

#[track_caller]
fn cannot_bind(late: &Actor) {
    assert_eq!(late.tries("bind c 127.0.0.1:7000"), Err("EADDRINUSE".to_owned()));
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_listener_has_it() {
    held(
        &["127.0.0.1:7000", "EADDRINUSE", "HOLDER listens on 127.0.0.1:7000"],
        |holder| {
            holder.does("listen l 127.0.0.1:7000");
        },
        cannot_bind,
    );
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_listener_at_every_address_has_it() {
    held(
        &["EADDRINUSE", "HOLDER listens on 0.0.0.0:7000"],
        |holder| {
            holder.does("listen l 0.0.0.0:7000");
        },
        cannot_bind,
    );
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_connection_has_it() {
    held(
        &["EADDRINUSE", "a connection of HOLDER", "127.0.0.1:7001"],
        |holder| {
            holder.does("listen l 127.0.0.1:7001");
            holder.does("bind c 127.0.0.1:7000");
            holder.does("connect c 127.0.0.1:7001");
        },
        cannot_bind,
    );
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_socket_that_is_only_bound_has_it() {
    held(
        &["EADDRINUSE", "HOLDER has bound 127.0.0.1:7000"],
        |holder| {
            holder.does("bind c 127.0.0.1:7000");
        },
        cannot_bind,
    );
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_client_that_connected_to_itself_has_it() {
    held(
        &["EADDRINUSE", "HOLDER, which connected to itself"],
        |holder| {
            holder.does("bind c 127.0.0.1:7000");
            holder.does("connect c 127.0.0.1:7000");
        },
        cannot_bind,
    );
}

/// Who left a TIME_WAIT, only a trace that was there knows.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_time_wait_has_it() {
    for backend in BACKENDS {
        let mut stage = Stage::with(&format!("--backend {backend} --only bind-failed"));
        let [holder, late] = ["holder", "late"].map(|name| stage.actor(name));
        holder.does("listen l 127.0.0.1:7001");
        holder.does("bind c 127.0.0.1:7000");
        holder.does("connect c 127.0.0.1:7001");
        holder.does("accept s l");
        holder.does("close c");
        holder.does("close s");
        let pid = holder.pid();
        holder.exits();
        cannot_bind(&late);
        stage.wait_for("finding", 1);
        let objects = stage.end();
        let (message, remedy) = only(&objects, "bind-failed", &late);
        says(message, &["the TIME_WAIT of 127.0.0.1:7000 with 127.0.0.1:7001", &format!("holder[{pid}]")]);
        says(remedy.unwrap(), &["SO_REUSEADDR"]);
    }
}

/// Both could bind; the one that listens first has the port. That it was a listen(2) which ended the other's
/// listening, the classic tracepoint does not tell.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn another_listens_first() {
    let mut stage = Stage::with("--backend tp_btf");
    let [holder, late] = ["holder", "late"].map(|name| stage.actor(name));
    late.does("bind l 127.0.0.1:7000 reuseaddr");
    holder.does("listen l 127.0.0.1:7000 reuseaddr");
    assert_eq!(late.tries("listen l"), Err("EADDRINUSE".to_owned()));
    stage.wait_for("finding", 1);
    let objects = stage.end();
    let (message, _) = only(&objects, "bind-failed", &late);
    says(message, &["could not listen", "EADDRINUSE", &format!("holder[{}] listens", holder.pid())]);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn other_errors() {
    for backend in BACKENDS {
        for (address, errno, words) in [
            ("192.0.2.1:7000", "EADDRNOTAVAIL", ["192.0.2.1:7000", "no interface"]),
            ("127.0.0.1:80", "EACCES", ["127.0.0.1:80", "CAP_NET_BIND_SERVICE"]),
            ("[2001:db8::1]:7000", "EADDRNOTAVAIL", ["[2001:db8::1]:7000", "no interface"]),
        ] {
            let mut stage = Stage::with(&format!("--backend {backend} --only bind-failed"));
            let client = stage.actor("client");
            client.does("user 65534");
            assert_eq!(client.tries(&format!("bind c {address}")), Err(errno.to_owned()));
            stage.wait_for("finding", 1);
            let objects = stage.end();
            let (message, remedy) = only(&objects, "bind-failed", &client);
            says(message, &[errno]);
            says(message, &words);
            assert!(remedy.is_some(), "{backend} {address}");
        }
    }
}

/// A bind(2) that succeeds, one of another protocol, and one that is none of TCP's affairs.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn what_is_none() {
    for backend in BACKENDS {
        let stage = Stage::with(&format!("--backend {backend}"));
        let client = stage.actor("client");
        client.does("bind c 127.0.0.1:7000");
        let twice = || {
            let bind = || std::net::UdpSocket::bind("127.0.0.1:7000");
            let _first = bind().unwrap();
            bind().unwrap_err()
        };
        stage.inside.enter(twice).unwrap();
        assert_eq!(stage.end().of("finding").count(), 0, "{backend}");
    }
}
