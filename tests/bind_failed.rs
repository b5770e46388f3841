//! Failed calls of bind(2) and listen(2), and the holder of the port.

use std::{collections::BTreeSet, fs};

use probe::net::{Namespace, tun::Tun};

use crate::{
    actor::Actor,
    findings::{namespace_with_ports, only, says},
    quickack_netns::quickack_netns,
    support::{number, text},
    tracing::{BACKENDS, Stage},
};

/// Makes a process fail to bind a port that another holds, with the trace started before the holder or between
/// both, and checks that the finding contains these words. `HOLDER` stands for the holder's name with its process id.
#[track_caller]
fn check(words: &[&str], acquire: impl Fn(&Actor), fail: impl Fn(&Actor)) {
    for backend in BACKENDS {
        for preexisting in [false, true] {
            let inside = Namespace::private().unwrap();
            let flags = format!("--backend {backend} --only bind-failed");
            let early = (!preexisting).then(|| Stage::of(inside.clone(), &flags));
            let [holder, late] = ["holder", "late"].map(|name| Actor::inside(&inside, name));
            acquire(&holder);
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
            assert_eq!(number(&finding["local"]["port"]), 7000, "{backend} {preexisting}: {finding}");
            assert_eq!(finding["owner"]["known"], "exact", "{backend} {preexisting}: {finding}");
        }
    }
}

#[track_caller]
fn cannot_bind(late: &Actor) {
    assert_eq!(late.tries("bind c 127.0.0.1:7000"), Err("EADDRINUSE".to_owned()));
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_holder_is_a_listener() {
    check(
        &["127.0.0.1:7000", "EADDRINUSE", "HOLDER listens on 127.0.0.1:7000"],
        |holder| {
            holder.does("listen l 127.0.0.1:7000");
        },
        cannot_bind,
    );
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_holder_is_a_wildcard_listener() {
    check(
        &["EADDRINUSE", "HOLDER listens on 0.0.0.0:7000"],
        |holder| {
            holder.does("listen l 0.0.0.0:7000");
        },
        cannot_bind,
    );
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_holder_has_a_connection() {
    check(
        &["EADDRINUSE", "HOLDER has a connection", "127.0.0.1:7001"],
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
fn the_holder_has_only_bound_it() {
    check(
        &["EADDRINUSE", "HOLDER is bound to 127.0.0.1:7000"],
        |holder| {
            holder.does("bind c 127.0.0.1:7000");
        },
        cannot_bind,
    );
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_holder_is_connected_to_itself() {
    check(
        &["EADDRINUSE", "HOLDER, which connected to itself"],
        |holder| {
            holder.does("bind c 127.0.0.1:7000");
            holder.does("connect c 127.0.0.1:7000");
        },
        cannot_bind,
    );
}

/// Only a trace that was running knows who left a TIME_WAIT.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_time_wait_holds_the_port() {
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
        says(message, &["left a TIME_WAIT from 127.0.0.1:7000 to 127.0.0.1:7001", &format!("holder[{pid}]")]);
        says(remedy.unwrap(), &["SO_REUSEADDR"]);
    }
}

/// Each holder keeps the socket from binding the port, and each bystander has the port without doing so: the finding
/// names the holder alone, and when the holder has closed, the bind succeeds and there is no other finding.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn nobody_but_the_holder_is_named() {
    for (late_at, holder_at, bystander_at) in [
        ("0.0.0.0:7000", "127.0.0.1:7000", "[::1]:7000"),
        ("0.0.0.0:7000", "127.0.0.1:7000", "[::]:7000 v6only"),
        ("127.0.0.1:7000", "0.0.0.0:7000", "[::]:7000 v6only"),
        ("[::]:7000 v6only", "[::1]:7000", "127.0.0.1:7000"),
        ("[::]:7000", "127.0.0.1:7000", "127.0.0.1:7001"),
        ("0.0.0.0:7000 device=lo", "0.0.0.0:7000 device=lo", "0.0.0.0:7000 device=other"),
        ("127.0.0.1:7000 device=other", "127.0.0.1:7000 device=other", "0.0.0.0:7000 device=lo"),
    ] {
        for backend in BACKENDS {
            let mut stage = Stage::with(&format!("--backend {backend} --only bind-failed"));
            let _other = stage.inside.enter(|| Tun::open("other").unwrap()).unwrap();
            let [holder, bystander, late] = ["holder", "bystander", "late"].map(|name| stage.actor(name));
            holder.does(&format!("listen l {holder_at}"));
            bystander.does(&format!("listen l {bystander_at}"));
            let bind = format!("bind c {late_at}");
            assert_eq!(late.tries(&bind), Err("EADDRINUSE".to_owned()), "{bind}");
            stage.wait_for("finding", 1);
            holder.does("close l");
            late.does(&bind);
            let objects = stage.end();
            let named: BTreeSet<_> = objects
                .of("finding")
                .filter_map(|finding| text(&finding["message"]).split_once("EADDRINUSE, "))
                .map(|(_, reason)| reason.to_owned())
                .collect();
            let only =
                format!("holder[{}] listens on {}", holder.pid(), holder_at.split(' ').next().unwrap());
            assert_eq!(named, BTreeSet::from([only]), "{backend}: {bind}");
        }
    }
}

/// The process that opened the listener has exited or closed it, or it executes another program: the finding names who has
/// it now.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_holder_is_not_the_process_that_opened_it() {
    for backend in BACKENDS {
        for case in ["exits", "closes", "execs"] {
            let mut stage = Stage::with(&format!("--backend {backend} --only bind-failed"));
            let [server, late] = ["server", "late"].map(|name| stage.actor(name));
            let opener = server.pid();
            server.does("listen l 127.0.0.1:7000");
            let mut kept = Vec::new();
            let holder = match case {
                "execs" => {
                    server.becomes_with("heir", "l");
                    kept.push(server);
                    format!("heir[{opener}] listens on 127.0.0.1:7000 (opened while it was named server)")
                }
                _ => {
                    let heir = server.starts("heir", "l");
                    let heir_is = format!("heir[{}] listens on 127.0.0.1:7000", heir.pid());
                    kept.push(heir);
                    if case == "exits" {
                        server.exits();
                        format!("{heir_is} (opened by server[{opener}], which has exited)")
                    } else {
                        server.does("close l");
                        kept.push(server);
                        format!("{heir_is} (opened by server[{opener}], which has closed it)")
                    }
                }
            };
            cannot_bind(&late);
            stage.wait_for("finding", 1);
            let objects = stage.end();
            let (message, _) = only(&objects, "bind-failed", &late);
            assert!(message.ends_with(&format!("EADDRINUSE, {holder}")), "{backend} {case}: {message}");
            // Whoever is named has it: without it, the bind succeeds.
            kept[0].does("close l");
            late.does("bind c 127.0.0.1:7000");
        }
    }
}

/// A namespace whose first ephemeral port is 7000, which connect(2) picks first.
fn namespace_that_picks_7000() -> Namespace {
    namespace_with_ports(7000..=7001)
}

/// What is done before the bind, with the remedy of the finding or without.
type Situation = fn(&[Actor; 3], remedied: bool);

/// Each failure, a word of its remedy, how the remedy is applied to the namespace, and what the processes do. With the
/// remedy, the bind succeeds, and there is no finding.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_remedy_removes_the_failure() {
    const REUSE: &str = "set SO_REUSEADDR before every bind";
    let outgoing: Situation = |[server, client, _], _| {
        server.does("listen l 127.0.0.1:5000");
        client.does("connect c 127.0.0.1:5000");
        server.does("accept s l");
    };
    let left_by_outgoing: Situation = |[server, client, _], _| {
        server.does("listen l 127.0.0.1:5000");
        client.does("connect c 127.0.0.1:5000");
        server.does("accept s l");
        client.does("close c");
        server.does("read-to-end s");
        server.does("close s");
    };
    // The server closes first, and is started again.
    let restarted: Situation = |[server, client, _], remedied| {
        let reuse = if remedied { "reuseaddr" } else { "" };
        server.does(&format!("listen l 127.0.0.1:7000 {reuse}"));
        client.does("connect c 127.0.0.1:7000");
        server.does("accept s l");
        server.does("close s");
        server.does("close l");
        client.does("read-to-end c");
        client.does("close c");
    };
    let reserve = "net.ipv4.ip_local_reserved_ports=7000";
    for (situation, early_option, late_option, words) in [
        (outgoing, "", "", reserve),
        (outgoing, "reuseaddr", "reuseaddr", reserve),
        (left_by_outgoing, "", "", reserve),
        (left_by_outgoing, "reuseaddr", "reuseaddr", reserve),
        (restarted, "", "reuseaddr", REUSE),
        (restarted, "reuseaddr", "reuseaddr", "set SO_REUSEADDR before the bind of the holder's socket, too"),
    ] {
        for backend in BACKENDS {
            for remedied in [false, true] {
                let is_restart = !words.starts_with("net.");
                let inside = if is_restart { quickack_netns() } else { namespace_that_picks_7000() };
                if remedied && !is_restart {
                    let set = || fs::write("/proc/sys/net/ipv4/ip_local_reserved_ports", "7000").unwrap();
                    inside.enter(set).unwrap();
                }
                let mut stage = Stage::of(inside, &format!("--backend {backend} --only bind-failed"));
                let actors = ["server", "client", "late"].map(|name| stage.actor(name));
                situation(&actors, remedied);
                let option = if remedied { late_option } else { early_option };
                let bound = actors[2].tries(&format!("bind c 127.0.0.1:7000 {option}"));
                if remedied {
                    assert_eq!(bound.as_deref(), Ok("127.0.0.1:7000"), "{backend}: {words}");
                    assert_eq!(stage.end().of("finding").count(), 0, "{backend}: {words}");
                } else {
                    assert_eq!(bound, Err("EADDRINUSE".to_owned()), "{backend}: {words}");
                    stage.wait_for("finding", 1);
                    let objects = stage.end();
                    let (_, remedy) = only(&objects, "bind-failed", &actors[2]);
                    says(remedy.unwrap_or_default(), &[words]);
                }
            }
        }
    }
}

/// Neither bind(2) to port 0 nor its remedies are those of connect(2).
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn no_port_is_free_for_a_bind_to_port_0() {
    for backend in BACKENDS {
        let mut stage = Stage::of(namespace_with_ports(40_001..=40_001), &format!("--backend {backend}"));
        let [server, client] = ["server", "client"].map(|name| stage.actor(name));
        let servers =
            ["one", "other"].map(|name| server.at(&format!("listen {name} 127.0.0.1:50{}", name.len())));
        client.does("bind a 127.0.0.1:0");
        assert_eq!(client.tries("bind b 127.0.0.1:0"), Err("EADDRINUSE".to_owned()));
        stage.wait_for("finding", 1);
        client.does("close a");
        // The remedy: the two connections share the port.
        for (socket, server) in ["c", "d"].into_iter().zip(servers) {
            client.does(&format!("bind {socket} 127.0.0.1:0 noport"));
            client.does(&format!("connect {socket} {server}"));
        }
        let objects = stage.end();
        let (_, remedy) = only(&objects, "bind-failed", &client);
        let remedy = remedy.unwrap();
        says(remedy, &["IP_BIND_ADDRESS_NO_PORT", "net.ipv4.ip_local_port_range="]);
        assert!(!remedy.contains("tcp_tw_reuse"), "{remedy}");
    }
}

/// As nginx starts: with SO_REUSEADDR, and five times. TIME_WAITs of a server with SO_REUSEADDR do not matter then.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_server_that_retries_is_reported_once_with_the_listener_alone() {
    for backend in BACKENDS {
        let stage = Stage::with(&format!("--backend {backend} --only bind-failed"));
        let [holder, client, late] = ["holder", "client", "late"].map(|name| stage.actor(name));
        holder.does("listen l 0.0.0.0:7000 reuseaddr");
        for connection in ["a", "b"] {
            client.does(&format!("connect {connection} 127.0.0.1:7000"));
            holder.does(&format!("accept {connection} l"));
            holder.does(&format!("close {connection}"));
            client.does(&format!("read-to-end {connection}"));
            client.does(&format!("close {connection}"));
        }
        for _ in 0..5 {
            assert_eq!(late.tries("bind c 0.0.0.0:7000 reuseaddr"), Err("EADDRINUSE".to_owned()));
        }
        let objects = stage.end();
        let (message, remedy) = only(&objects, "bind-failed", &late);
        let holder = format!("EADDRINUSE, holder[{}] listens on 0.0.0.0:7000", holder.pid());
        assert!(message.ends_with(&holder), "{backend}: {message}");
        assert_eq!(remedy, None, "{backend}");
    }
}

/// Both can bind; the first to listen gets the port. The classic tracepoint does not show that listen(2) caused
/// the transition.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn listen_fails_when_another_listens_first() {
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
fn bind_fails_with_other_errors() {
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

/// A successful bind(2), one of another protocol, and one of a non-TCP socket.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn unrelated_binds_are_no_findings() {
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
