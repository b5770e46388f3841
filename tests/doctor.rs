//! `probe doctor` on hosts that have everything and on hosts that lack something; its remedies work.

use std::{
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use probe::net::{
    Namespace, Tcp,
    sysctl::{IP_LOCAL_PORT_RANGE, IP_LOCAL_RESERVED_PORTS},
};
use serde_json::Value;

use crate::{
    contract,
    failures::{unprivileged, without},
    schema,
    support::{Objects, Outcome, Probe, number, text},
};

/// The objects of an outcome, each validated by the schema.
#[track_caller]
fn objects(outcome: &Outcome) -> Objects {
    let objects = outcome.objects();
    schema::validate(&objects);
    contract::check_each(objects.iter());
    let known = |object: &Value| ["facility", "hazard"].contains(&text(&object["type"]));
    assert!(objects.iter().all(known), "{outcome}");
    objects
}

#[track_caller]
fn facility<'a>(objects: &'a Objects, name: &str) -> &'a Value {
    let mut named = objects.of("facility").filter(|facility| facility["name"] == name);
    named.next().unwrap_or_else(|| panic!("no facility is called {name}"))
}

#[track_caller]
fn status<'a>(objects: &'a Objects, name: &str) -> &'a str {
    text(&facility(objects, name)["status"])
}

fn doctor() -> Outcome {
    Probe::new("doctor --format json").run().exits(0).silently()
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_complete_host_has_every_facility() {
    let outcome = doctor();
    let objects = objects(&outcome);
    for name in [
        "CAP_SYS_ADMIN",
        "type information (BTF)",
        "tracefs",
        "sock:inet_sock_set_state",
        "sched:sched_process_fork",
        "BTF tracepoint",
        "classic tracepoint",
        "ring buffer",
        "socket storage",
        "sock_diag for TCP",
        "private namespace",
        "TUN device",
        "net.ipv4.ip_local_port_range",
    ] {
        assert_eq!(status(&objects, name), "ok", "{}", facility(&objects, name));
    }
    for group in ["host", "kernel", "user", "sysctl"] {
        assert!(objects.of("facility").any(|facility| facility["group"] == group), "{group}");
    }
    let table = Probe::new("doctor").run().exits(0).silently();
    for heading in
        ["host", "BPF programs", "other kernel interfaces", "sysctls of this network namespace", "hazards"]
    {
        assert!(table.stdout.lines().any(|line| line.starts_with(heading)), "{heading}: {table}");
    }
}

#[test]
fn without_privilege_it_reports_that_and_the_rest() {
    let outcome =
        unprivileged("doctor --format json").exits(3).saying(&["not permitted", "run as root", "CAP_BPF"]);
    let objects = objects(&outcome);
    for name in ["CAP_BPF", "BTF tracepoint", "classic tracepoint"] {
        let facility = facility(&objects, name);
        assert_eq!(facility["status"], "unavailable", "{facility}");
        assert!(text(&facility["remedy"]).contains("run as root"), "{facility}");
    }
    assert_eq!(status(&objects, "ring buffer"), "unknown");
    assert_eq!(status(&objects, "net.ipv4.ip_local_port_range"), "ok");
    unprivileged("doctor").exits(3).saying(&["run as root"]);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn without_btf_the_classic_tracepoint_is_enough() {
    let outcome = without(&["/sys/kernel/btf"], "doctor --format json").exits(0).silently();
    let objects = objects(&outcome);
    assert_eq!(status(&objects, "type information (BTF)"), "unavailable");
    assert_eq!(status(&objects, "BTF tracepoint"), "unavailable");
    assert_eq!(status(&objects, "classic tracepoint"), "ok");
    assert_eq!(status(&objects, "ring buffer"), "ok");
    assert_eq!(status(&objects, "socket storage"), "unknown");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn without_either_tracepoint_the_remedy_is_to_mount_tracefs() {
    let outcome = without(&["/sys/kernel"], "doctor --format json")
        .exits(3)
        .saying(&["cannot be traced", "mount -t tracefs"]);
    let objects = objects(&outcome);
    assert_eq!(facility(&objects, "tracefs")["remedy"], "mount -t tracefs nodev /sys/kernel/tracing");
    assert_eq!(status(&objects, "sock:inet_sock_set_state"), "unknown");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn tracefs_that_is_not_mounted_is_no_obstacle() {
    let hidden = ["/sys/kernel/tracing", "/sys/kernel/debug"];
    let objects = objects(&without(&hidden, "doctor --format json").exits(0).silently());
    assert_eq!(facility(&objects, "tracefs")["observed"], "not mounted; probe mounts it for itself");
    for works in ["tracefs", "sched:sched_process_fork", "classic tracepoint", "BTF tracepoint"] {
        assert_eq!(status(&objects, works), "ok", "{works}");
    }
}

/// The hazards of one namespace, in the order printed.
fn hazards_in(namespace: &Namespace) -> Vec<Value> {
    let outcome = doctor();
    let objects = objects(&outcome);
    objects
        .of("hazard")
        .filter(|hazard| number(&hazard["netns"]) == u64::from(namespace.inode()))
        .cloned()
        .collect()
}

/// Runs a remedy in a shell, as printed.
#[track_caller]
fn apply(remedy: &Value) {
    let ran = Command::new("sh").arg("-c").arg(text(remedy)).stdout(Stdio::null()).status().unwrap();
    assert!(ran.success(), "{remedy}");
}

fn ports(hazards: &[Value]) -> Vec<u64> {
    hazards.iter().map(|hazard| number(&hazard["local"]["port"])).collect()
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_listener_in_the_ephemeral_range_is_a_hazard_until_its_port_is_reserved() {
    let inside = Namespace::private().unwrap();
    let check = || {
        IP_LOCAL_PORT_RANGE.write(&(32768..=60999)).unwrap();
        IP_LOCAL_RESERVED_PORTS.write(&vec![8080..=8080, 10000..=10100, 40000..=40000]).unwrap();
        let listen = |local: &str| TcpListener::bind(local).unwrap();
        let _open = ["127.0.0.1:50052", "[::]:50051", "127.0.0.1:40000", "127.0.0.1:1314"].map(listen);

        let hazards = hazards_in(&inside);
        assert_eq!(ports(&hazards), [50051, 50052]);
        for hazard in &hazards {
            assert_eq!(hazard["kind"], "ephemeral-listener");
            assert_eq!(number(&hazard["owner"]["pid"]), u64::from(std::process::id()), "{hazard}");
            assert_eq!(
                hazard["remedy"],
                "sysctl -w net.ipv4.ip_local_reserved_ports=8080,10000-10100,40000,50051-50052"
            );
        }
        assert!(text(&hazards[0]["message"]).contains("bind to port 0"), "{}", hazards[0]);
        assert!(text(&hazards[1]["message"]).contains("(connect)"), "{}", hazards[1]);

        apply(&hazards[0]["remedy"]);
        assert_eq!(hazards_in(&inside), [] as [Value; 0]);
        let reserved = IP_LOCAL_RESERVED_PORTS.read().unwrap().unwrap();
        assert_eq!(reserved, [8080..=8080, 10000..=10100, 40000..=40000, 50051..=50052]);
    };
    inside.enter(check).unwrap();
}

/// A process in a namespace, which exits when its stdin closes.
struct Resident(Child);

impl Resident {
    fn of(namespace: &Namespace) -> Self {
        let cat = || Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        Self(namespace.enter(cat).unwrap().unwrap())
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_remedy_for_another_namespace_enters_it() {
    let inside = Namespace::private().unwrap();
    let resident = Resident::of(&inside);
    let _open = inside.enter(|| TcpListener::bind("127.0.0.1:50052")).unwrap().unwrap();

    let hazards = hazards_in(&inside);
    assert_eq!(ports(&hazards), [50052]);
    let pid = resident.0.id();
    assert_eq!(
        hazards[0]["remedy"],
        format!("nsenter -t {pid} -n sysctl -w net.ipv4.ip_local_reserved_ports=50052")
    );
    let before = IP_LOCAL_RESERVED_PORTS.read().unwrap();
    apply(&hazards[0]["remedy"]);
    assert_eq!(hazards_in(&inside), [] as [Value; 0]);
    assert_eq!(IP_LOCAL_RESERVED_PORTS.read().unwrap(), before);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_self_connected_socket_is_a_hazard() {
    let inside = Namespace::private().unwrap();
    let check = || {
        let local: SocketAddr = "127.0.0.1:40000".parse().unwrap();
        let socket = Tcp::bound(local).unwrap();
        socket.connect(local, Instant::now() + Duration::from_secs(5)).unwrap();

        let hazards = hazards_in(&inside);
        assert_eq!(ports(&hazards), [40000]);
        assert_eq!(hazards[0]["kind"], "self-connected");
        assert_eq!(hazards[0]["remedy"], "sysctl -w net.ipv4.ip_local_reserved_ports=40000");
    };
    inside.enter(check).unwrap();
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn an_exhausted_ephemeral_range_is_a_hazard() {
    let inside = Namespace::private().unwrap();
    let check = || {
        IP_LOCAL_PORT_RANGE.write(&(40000..=40009)).unwrap();
        let soon = Instant::now() + Duration::from_secs(5);
        let server: SocketAddr = "127.0.0.1:1314".parse().unwrap();
        let _listener = Tcp::listening(server).unwrap();
        let connect = |port: u16| {
            let client = Tcp::bound(SocketAddr::new(server.ip(), port)).unwrap();
            client.connect(server, soon).unwrap();
            client
        };
        let mut clients: Vec<_> = (40000..40009).map(connect).collect();
        assert_eq!(hazards_in(&inside), [] as [Value; 0]);

        clients.push(connect(40009));
        let hazards = hazards_in(&inside);
        assert_eq!(hazards.len(), 1, "{hazards:?}");
        assert_eq!(hazards[0]["kind"], "ephemeral-exhaustion");
        assert!(text(&hazards[0]["message"]).contains("use 10 of 10 ephemeral ports"), "{}", hazards[0]);
    };
    inside.enter(check).unwrap();
}
