//! Failures of a check, the host, the command line or the output: each has its exit code and message, none a backtrace.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    path::Path,
};

use nix::pty;

use crate::{
    coherence, contract,
    support::{Outcome, PROGRAM, Probe, fixture, hiding, number},
};

#[track_caller]
fn sabotage_fails_one_check(scenario: &str) {
    let arguments = format!("run {scenario} --sabotage --delay 5ms --format json");
    let objects = Probe::new(&arguments).run().exits(1).silently().objects();
    contract::check_stream(&objects);
    coherence::check_stream(&objects);
    assert_eq!(objects.verdicts(), [(scenario, "failed")]);
    let failed: Vec<_> = objects.of("check").filter(|check| check["pass"] == false).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_ne!(failed[0]["expected"], failed[0]["observed"]);
    assert_eq!(number(&objects.one("end")["checks_failed"]), 1);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_failed_check_of_shared_port_is_reported() {
    sabotage_fails_one_check("shared-port");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_failed_check_of_simultaneous_open_is_reported() {
    sabotage_fails_one_check("simultaneous-open");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_failed_check_of_self_connect_is_reported() {
    sabotage_fails_one_check("self-connect");
}

/// A recording of a failed run fails again when replayed.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_replayed_failure_fails_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("failed");
    Probe::new("run self-connect --sabotage --record").arg(&file).run().exits(1).silently();
    Probe::new("replay").arg(&file).run().exits(1).silently();
}

/// Runs probe as a user without privileges.
pub fn unprivileged(arguments: &str) -> Outcome {
    const NOBODY: u32 = 65534;
    if !nix::unistd::geteuid().is_root() {
        return Probe::new(arguments).run();
    }
    // That user may not read the program's directory, but can execute an open file.
    let program = File::open(PROGRAM).unwrap();
    let path = format!("/proc/self/fd/{}", program.as_raw_fd());
    let drop_privileges = |command: &mut std::process::Command| {
        command.uid(NOBODY).gid(NOBODY);
    };
    Probe::of(path, arguments).with(drop_privileges).run()
}

#[test]
fn without_privilege_one_line_names_the_remedy() {
    for arguments in ["run", "run --format json", "run --backend tracepoint", "run --backend tp_btf"] {
        let outcome = unprivileged(arguments).exits(3).saying(&["not permitted", "run as root", "CAP_BPF"]);
        assert_eq!(outcome.stdout, "");
    }
}

/// Runs probe with an empty file system mounted over each of these directories.
pub fn without(directories: &[&str], arguments: &str) -> Outcome {
    hiding(directories, || Probe::new(arguments).run())
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn without_tun_simultaneous_open_is_unsupported() {
    let outcome = without(&["/dev/net"], "run --format json").exits(3).silently();
    let objects = outcome.objects();
    contract::check_stream(&objects);
    coherence::check_stream(&objects);
    assert_eq!(
        objects.verdicts(),
        [("shared-port", "passed"), ("simultaneous-open", "unsupported"), ("self-connect", "passed")]
    );
    let reasons: Vec<_> = objects.of("scenario").filter_map(|end| end["reason"].as_str()).collect();
    assert!(reasons.len() == 1 && reasons[0].contains("modprobe tun"), "{reasons:?}");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn an_audit_of_unsupported_behaviours_only_exits_with_3() {
    let outcome = without(&["/dev/net"], "audit open/simultaneous --format json");
    let objects = outcome.exits(3).saying(&["open/simultaneous", "modprobe tun"]).objects();
    contract::check_stream(&objects);
    assert_eq!(objects.one("behaviour")["status"], "unsupported");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn without_btf_the_classic_tracepoint_is_used() {
    let objects =
        without(&["/sys/kernel/btf"], "run shared-port --format json").exits(0).silently().objects();
    contract::check_stream(&objects);
    let ready = objects.one("ready");
    assert_eq!(ready["backend"], "tracepoint");
    assert!(ready["unavailable"].as_array().is_some_and(|unavailable| !unavailable.is_empty()), "{ready}");
    assert_eq!(objects.verdicts(), [("shared-port", "passed")]);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn without_either_tracepoint_one_line_names_both() {
    without(&["/sys/kernel"], "run").exits(3).saying(&["cannot be traced", "BTF", "mount -t tracefs"]);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn tracefs_need_not_be_mounted() {
    for backend in ["tp_btf", "tracepoint"] {
        hiding(&["/sys/kernel/tracing", "/sys/kernel/debug"], || {
            let arguments = format!("trace --backend {backend} --format json -- true");
            let objects = Probe::new(&arguments).run().exits(0).silently().objects();
            contract::check_stream(&objects);
            let mounted = Path::new("/sys/kernel/tracing/events").exists();
            assert!(!mounted, "it is mounted for probe alone");
        });
    }
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn too_few_open_files_are_named_with_the_limit() {
    let limited = |limit: u32, arguments: &str| {
        let shell = format!("ulimit -n {limit}; exec {PROGRAM} {arguments}");
        Probe::of("sh", "-c").arg(shell).run().exits(3).saying(&[
            "open",
            &limit.to_string(),
            "ulimit -n 1024",
        ])
    };
    for limit in [20, 45] {
        limited(limit, "trace --duration 1ms");
    }
    limited(64, "audit open/refused");
}

/// The limit is raised where that is allowed, and a command gets the limit that the user chose.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn the_soft_limit_of_open_files_is_raised_for_probe_alone() {
    let script = format!("ulimit -S -n 20; exec {PROGRAM} trace --output /dev/null -- sh -c 'ulimit -n'");
    let outcome = Probe::of("sh", "-c").arg(script).run().exits(0);
    assert_eq!(outcome.stdout.trim(), "20");
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn without_proc_the_existing_sockets_are_unknown() {
    let objects = without(&["/proc"], "trace --duration 1ms --format json").exits(0).objects();
    contract::check_stream(&objects);
    let ready = objects.one("ready");
    assert_eq!(ready["existing"], serde_json::Value::Null);
    assert!(ready["unavailable"].to_string().contains("/proc is not mounted"), "{ready}");
}

/// Expects exit code 2 and a message that contains each of `words`.
#[track_caller]
pub fn usage(arguments: &str, words: &[&str]) {
    let outcome = Probe::new(arguments).run().exits(2).naming(words);
    assert_eq!(outcome.stdout, "");
}

#[test]
fn wrong_usage_is_reported_with_the_value() {
    usage("", &["Usage: probe", "run"]);
    usage("walk", &["unrecognized subcommand 'walk'"]);
    usage("run --fast", &["unexpected argument '--fast'"]);
    usage("run --format xml", &["'xml'", "table, json"]);
    usage(
        "run shared-ports",
        &["unknown scenario `shared-ports`", "shared-port, simultaneous-open, self-connect"],
    );
    usage("run --delay 40", &["'40'", "needs a unit", "40s"]);
    usage("run --delay=-1s", &["'-1s'", "cannot be negative"]);
    usage("run --delay soon", &["'soon'", "40ms"]);
    usage("run --repeat 0", &["'0'", "at least 1"]);
    usage("run --repeat -1", &["-1"]);
    usage("run self-connect --pcap /dev/null", &["--pcap", "only simultaneous-open with --wire tun"]);
    usage("run --wire loopback --pcap /dev/null", &["--pcap", "only simultaneous-open with --wire tun"]);
    usage("run --record /nowhere/file", &["cannot create /nowhere/file", "No such file or directory"]);
    usage("run --pcap /nowhere/file", &["cannot create /nowhere/file", "No such file or directory"]);
    usage("run --record /", &["cannot create /", "Is a directory"]);
    usage("replay", &["<FILE>"]);
    usage("replay /nowhere/file", &["/nowhere/file", "No such file or directory"]);
}

#[test]
fn list_help_and_version_exit_with_0() {
    let list = Probe::new("run --list").run().exits(0).silently().stdout;
    let names: Vec<_> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["shared-port", "simultaneous-open", "self-connect"]);
    Probe::new("--help").run().exits(0).silently();
    Probe::new("--version").run().exits(0).silently();
}

/// `probe run | head -1`.
#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_closed_pipe_is_not_a_failure() {
    for arguments in ["run --format json", "run"] {
        let (reader, writer) = io::pipe().unwrap();
        let running = Probe::new(arguments).stdout(writer).start();
        let mut line = String::new();
        BufReader::new(reader).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        running.finish().exits(0).silently();
    }
}

#[test]
fn a_full_disk_is_a_failure() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    Probe::new("replay --format json")
        .arg(fixture("shared-port-tp_btf-ipv4.probe"))
        .stdout(full())
        .run()
        .exits(1)
        .saying(&["probe: cannot write the output", "No space left"]);
}

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn a_recording_that_cannot_be_written_is_a_failure() {
    for file in ["--record", "--pcap"] {
        let arguments = format!("run simultaneous-open --delay 5ms {file} /dev/full");
        Probe::new(&arguments).run().exits(1).saying(&["cannot write the", "No space left"]);
    }
}

/// The output of a replay on a terminal.
fn on_a_terminal(no_color: &str) -> String {
    let terminal = pty::openpty(None, None).unwrap();
    let running = Probe::new("replay")
        .arg(fixture("self-connect-tp_btf-ipv4.probe"))
        .env("NO_COLOR", no_color)
        .stdout(terminal.slave)
        .start();
    let mut shown = Vec::new();
    // Reading from a terminal fails with EIO once its other side is closed.
    let _ = File::from(terminal.master).read_to_end(&mut shown);
    running.finish().exits(0).silently();
    String::from_utf8(shown).unwrap()
}

#[test]
fn colour_is_for_terminals_without_no_color() {
    const ESCAPE: char = '\x1b';
    assert!(on_a_terminal("").contains(ESCAPE));
    assert!(!on_a_terminal("1").contains(ESCAPE));
    let piped = Probe::new("replay").arg(fixture("self-connect-tp_btf-ipv4.probe")).run().exits(0);
    assert!(!piped.stdout.contains(ESCAPE), "{piped}");
    assert!(piped.stdout.contains("self-connect"), "{piped}");
}

/// A trace that cannot start leaves the files of an earlier one alone.
#[test]
fn a_failed_start_keeps_existing_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("earlier");
    std::fs::write(&file, "an earlier trace").unwrap();
    Probe::new("trace --record /nonexistent/file --output")
        .arg(&file)
        .run()
        .exits(2)
        .saying(&["/nonexistent/file"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "an earlier trace");
}
