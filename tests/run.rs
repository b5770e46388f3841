//! `probe run` on the running kernel: every scenario, with each backend and address family.

use std::{collections::HashSet, fs, path::Path};

use probe::net::Namespace;
use serde_json::Value;

use crate::{
    coherence, contract,
    support::{Objects, PROGRAM, Probe, number, text},
};

const SCENARIOS: [&str; 3] = ["shared-port", "simultaneous-open", "self-connect"];

/// Values that a check of the scenario must have expected and observed.
const REQUIRED: [(&str, &[&str]); 3] = [
    (
        "shared-port",
        &[
            "CLOSE → SYN_SENT → ESTABLISHED",
            "LISTEN → SYN_RECV → ESTABLISHED",
            "ESTABLISHED at the same time",
            "I love you.",
            "EISCONN",
            "EADDRNOTAVAIL",
            "CLOSE → SYN_SENT → CLOSE",
            "EADDRINUSE",
        ],
    ),
    (
        "simultaneous-open",
        &[
            "CLOSE → SYN_SENT → SYN_RECV → ESTABLISHED",
            "ESTABLISHED at the same time",
            "SYN, SYN, SYN+ACK, SYN+ACK",
            "I love you.",
            "ECONNREFUSED",
            "CLOSE → SYN_SENT → CLOSE",
            "CLOSE → SYN_SENT → ESTABLISHED",
        ],
    ),
    (
        "self-connect",
        &[
            "CLOSE → SYN_SENT → SYN_RECV → ESTABLISHED",
            "ESTABLISHED → FIN_WAIT1 → CLOSING → CLOSE",
            "I love you.",
            "EADDRINUSE",
        ],
    ),
];

/// The output of a run that must pass, checked against the contract and for coherence.
#[track_caller]
fn passing(arguments: &str) -> (u32, Objects) {
    let running = Probe::new(arguments).start();
    let pid = running.pid();
    let objects = running.finish().exits(0).silently().objects();
    contract::check_stream(&objects);
    coherence::check_stream(&objects);
    (pid, objects)
}

#[track_caller]
fn every_scenario(flags: &str) {
    let (pid, objects) = passing(&format!("run --format json {flags}"));
    assert_eq!(objects.verdicts(), SCENARIOS.map(|name| (name, "passed")));
    let end = objects.one("end");
    assert_eq!((&end["lost"], &end["checks_failed"]), (&0.into(), &0.into()), "{end}");
    let backend = &objects.one("ready")["backend"];
    assert!(flags.contains(text(backend)), "{backend}");

    let family = if flags.contains("--ipv6") { "ipv6" } else { "ipv4" };
    for transition in objects.of("transition") {
        assert_eq!(transition["family"], family, "{transition}");
        assert_eq!(transition["protocol"], "tcp", "{transition}");
    }
    all_belong_to(pid, &objects);
    for (scenario, values) in REQUIRED {
        for value in values {
            let has_value = |check: &Value| {
                check["scenario"] == scenario && check["expected"] == *value && check["observed"] == *value
            };
            assert!(objects.of("check").any(has_value), "{scenario} has no check of {value}");
        }
    }
    let remedied =
        |check: &Value| check["name"] == "remedy: refused" && check["expected"] == check["observed"];
    assert!(objects.of("check").any(remedied), "a reserved port is never chosen");
    findings(&objects, !flags.contains("--no-btf"));
    shared_port_lists_its_sockets(&objects, pid);
}

/// Every socket belongs to the process. In the initial pid namespace, the kernel reports its own pid.
fn all_belong_to(pid: u32, objects: &Objects) {
    const INITIAL: &str = "pid:[4026531836]";
    let owners = owners(objects);
    assert_eq!(owners.len(), 1, "{owners:?}");
    if fs::read_link("/proc/self/ns/pid").unwrap() == Path::new(INITIAL) {
        assert_eq!(owners, HashSet::from([pid.into()]));
    }
}

fn owners(objects: &Objects) -> HashSet<u64> {
    objects.of("transition").map(|transition| number(&transition["owner"]["pid"])).collect()
}

/// The findings are exactly those that the scenarios trigger. Without BTF no namespace is known, so port
/// sharing cannot be established.
fn findings(objects: &Objects, with_namespaces: bool) {
    let found: Vec<&str> = objects.of("finding").map(|finding| text(&finding["kind"])).collect();
    let mut expected = vec!["port-sharing"; usize::from(with_namespaces)];
    expected.extend([["simultaneous-open"; 3].as_slice(), &["self-connect"; 2]].concat());
    assert_eq!(found, expected);
    for finding in objects.of("finding") {
        let evidence: Vec<(&str, &str)> = edges(finding, objects);
        match text(&finding["kind"]) {
            "port-sharing" => {
                assert_eq!(evidence, [("SYN_SENT", "ESTABLISHED"); 2], "{finding}");
                assert_eq!(
                    (&finding["local"]["port"], &finding["remote"]["port"]),
                    (&12345.into(), &4321.into())
                );
            }
            kind => {
                assert_eq!(evidence, [("CLOSE", "SYN_SENT"), ("SYN_SENT", "SYN_RECV")], "{finding}");
                assert_eq!(finding["local"]["port"], 1314, "{finding}");
                assert_eq!(finding["local"] == finding["remote"], kind == "self-connect", "{finding}");
                assert_eq!(finding["remedy"].is_string(), kind == "self-connect", "{finding}");
            }
        }
    }
}

/// The transitions that are the evidence of a finding.
fn edges<'a>(finding: &Value, objects: &'a Objects) -> Vec<(&'a str, &'a str)> {
    let evidence = finding["evidence"].as_array().expect("the contract holds");
    let of_seq = |seq: &Value| objects.of("transition").find(|one| one["seq"] == *seq);
    let transitions = evidence.iter().filter_map(of_seq);
    transitions.map(|transition| (text(&transition["old"]), text(&transition["new"]))).collect()
}

/// The listing has two connections from one local port, as `ss` would list them.
fn shared_port_lists_its_sockets(objects: &Objects, pid: u32) {
    let list = objects.of("sockets").next().expect("the first scenario lists its sockets");
    let rows = list["sockets"].as_array().expect("the contract holds");
    let shared = rows.iter().filter(|row| row["local"]["port"] == 12345 && row["state"] == "ESTABLISHED");
    let to: Vec<u64> = shared.map(|row| number(&row["remote"]["port"])).collect();
    assert_eq!(to, [80, 4321], "{list}");
    for row in rows {
        assert_eq!(row["owner"]["pid"], pid, "{row}");
    }
}

macro_rules! every_scenario_on {
    ($($name:ident: $flags:literal)*) => {$(
        #[test]
        #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
        fn $name() {
            every_scenario($flags);
        }
    )*};
}

every_scenario_on! {
    tp_btf_over_ipv4: "--backend tp_btf"
    tp_btf_over_ipv6: "--backend tp_btf --ipv6"
    tracepoint_over_ipv4: "--backend tracepoint"
    tracepoint_over_ipv6: "--backend tracepoint --ipv6"
    no_btf_over_ipv4: "--backend tracepoint --no-btf"
    no_btf_over_ipv6: "--backend tracepoint --no-btf --ipv6"
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn transitions_have_the_time_of_this_machines_clock() {
    let (_, objects) = passing("run self-connect --format json");
    let transition = objects.of("transition").next().expect("a transition");
    let now = jiff::Timestamp::now().as_nanosecond();
    let ago = now - coherence::unix_ns(&transition["time"]);
    assert!((0..60_000_000_000).contains(&ago), "{ago} ns ago: {transition}");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_syns_cross_on_the_loopback_device_or_the_run_is_unsupported() {
    let outcome = Probe::new("run simultaneous-open --wire loopback --format json").run().silently();
    let objects = outcome.objects();
    contract::check_stream(&objects);
    coherence::check_stream(&objects);
    let verdict = objects.verdicts();
    if verdict == [("simultaneous-open", "passed")] {
        assert!(text(&objects.one("note")["text"]).contains("crossed on the loopback device in attempt"));
        let found: Vec<_> = objects.of("finding").map(|finding| text(&finding["kind"])).collect();
        assert_eq!(found, ["simultaneous-open"; 2]);
        outcome.exits(0);
    } else {
        // The machine has one CPU, or other processes keep its CPUs busy.
        assert_eq!(verdict, [("simultaneous-open", "unsupported")]);
        let end = objects.of("scenario").last().expect("an end");
        assert!(text(&end["reason"]).contains("never crossed"), "{end}");
        outcome.exits(3);
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn repeat_runs_every_scenario_again() {
    let (_, objects) = passing("run shared-port simultaneous-open --delay 5ms --repeat 2 --format json");
    let verdicts = [("shared-port", "passed"), ("simultaneous-open", "passed")];
    assert_eq!(objects.verdicts(), [verdicts, verdicts].concat());
    let checks: Vec<&str> = objects.of("check").map(|check| text(&check["name"])).collect();
    let (first, second) = checks.split_at(checks.len() / 2);
    assert_eq!(first, second);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn concurrent_runs_do_not_affect_each_other() {
    let runs: Vec<_> = (0..3).map(|_| Probe::new("run --format json").start()).collect();
    for run in runs {
        let pid = run.pid();
        let objects = run.finish().exits(0).silently().objects();
        contract::check_stream(&objects);
        coherence::check_stream(&objects);
        assert_eq!(objects.verdicts(), SCENARIOS.map(|name| (name, "passed")));
        all_belong_to(pid, &objects);
    }
}

/// In a pid namespace the process's own pid differs from the one that the kernel reports.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn in_a_pid_namespace_the_process_finds_its_own_sockets() {
    let contained = Probe::of("unshare", "--pid --fork --kill-child --mount-proc").arg(PROGRAM);
    let run = ["run", "shared-port", "self-connect", "--format", "json"];
    let objects = run.into_iter().fold(contained, Probe::arg).run().exits(0).silently().objects();
    contract::check_stream(&objects);
    coherence::check_stream(&objects);
    assert_eq!(objects.verdicts(), [("shared-port", "passed"), ("self-connect", "passed")]);
    assert_eq!(owners(&objects).len(), 1);
}

/// `--netns host` means the namespace that the tool is started in, so the test provides its own.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn netns_host_uses_the_ports_of_the_host() {
    let host = Namespace::private().unwrap();
    let run = |arguments| host.enter(|| Probe::new(arguments).run()).unwrap().silently();

    let objects = run("run --netns host --format json").exits(0).objects();
    contract::check_stream(&objects);
    coherence::check_stream(&objects);
    assert_eq!(objects.verdicts(), SCENARIOS.map(|name| (name, "passed")));
    let on_loopback = |transition: &&Value| text(&transition["local"]["addr"]) == "127.0.0.1";
    for transition in objects.of("transition").filter(on_loopback) {
        assert_eq!(transition["netns"], host.inode(), "{transition}");
    }

    // The self-connect has left its port in TIME_WAIT, which no socket option overrides.
    let objects = run("run self-connect --netns host --format json").exits(3).objects();
    contract::check_stream(&objects);
    assert_eq!(objects.verdicts(), [("self-connect", "unsupported")]);
    let reason = text(&objects.of("scenario").last().expect("an end")["reason"]);
    assert!(reason.contains("127.0.0.1:1314") && reason.contains("omit --netns host"), "{reason}");

    // In private namespaces the port is free.
    run("run self-connect --format json").exits(0);
}

/// All scenarios take less than 3s, and attaching less than 300ms in a release build. On a busy machine a run
/// may be repeated.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn all_scenarios_run_within_the_time_limit() {
    const ATTEMPTS: usize = 5;
    let attach_limit = if cfg!(debug_assertions) { 3_000_000_000 } else { 300_000_000 };
    let mut times = Vec::new();
    for _ in 0..ATTEMPTS {
        let (_, objects) = passing("run --format json");
        let end = objects.one("end");
        let (duration, attach) = (number(&end["duration_ns"]), number(&end["attach_ns"]));
        if duration < 3_000_000_000 && attach < attach_limit {
            return;
        }
        times.push((duration, attach));
    }
    panic!("(all scenarios, attaching) in ns: {times:?}");
}
