//! Invalid flag values of `probe trace` and `probe replay`: each error names the flag and the value, and what is accepted.

use crate::{failures::usage, support::fixture};

#[track_caller]
fn trace(arguments: &str, words: &[&str]) {
    usage(&format!("trace {arguments}"), words);
}

#[test]
fn invalid_ports_and_addresses() {
    for flag in ["--port", "--local-port", "--remote-port"] {
        trace(&format!("{flag} http"), &[flag, "`http`", "8000-8999"]);
        trace(&format!("{flag} 0"), &[flag, "1 to 65535"]);
        trace(&format!("{flag} 65536"), &[flag, "65536", "1 to 65535"]);
        trace(&format!("{flag} 90-80"), &[flag, "80-90"]);
        trace(flag, &[flag]);
    }
    trace("--addr localhost", &["--addr", "localhost", "10.0.0.0/8"]);
    trace("--addr 10.1.2.3/8", &["--addr", "10.0.0.0/8"]);
    trace("--addr ::1/129", &["--addr", "::1/129"]);
    trace("--family 5", &["--family", "4", "6"]);
    trace("--protocol sctp", &["--protocol", "tcp", "mptcp"]);
}

#[test]
fn invalid_processes_namespaces_and_cgroups() {
    trace("--pid 0", &["--pid", "0"]);
    trace("--pid self", &["--pid", "self", "process id"]);
    trace("--pid 4194305", &["--pid", "no process 4194305"]);
    trace("--comm a-name-longer-than-fifteen", &["--comm", "15 bytes"]);
    trace("--netns /nowhere/net", &["--netns", "/nowhere/net", "No such file"]);
    trace("--netns nowhere", &["--netns", "nowhere", "`ip netns`"]);
    trace("curl", &["'curl'", "-- curl"]);
    trace("--netns 4194304", &["--netns", "4194304"]);
    trace("--netns /proc/version", &["--netns", "/proc/version"]);
    trace("--cgroup /no/such/group", &["--cgroup", "/no/such/group"]);
    trace("--pid 1 -- true", &["--pid", "COMMAND"]);
}

#[test]
fn invalid_output_flags() {
    trace("--only everything", &["--only", "everything", "self-connect", "stuck"]);
    trace("--fail-on everything", &["--fail-on", "everything", "self-connect", "stuck"]);
    trace("--only stuck --fail-on self-connect", &["--only", "--fail-on", "self-connect"]);
    trace("--connections --only stuck", &["--connections", "--only"]);
    trace("--format xml", &["--format", "table", "json"]);
    trace("--time yesterday", &["--time", "elapsed", "absolute", "delta"]);
    trace("--stuck-after 0s", &["--stuck-after", "longer than 0s"]);
    trace("--stuck-after soon", &["--stuck-after", "40ms"]);
    trace("--output /nowhere/file", &["/nowhere/file", "No such file or directory"]);
    trace("--record /nowhere/file", &["/nowhere/file", "No such file or directory"]);
    trace("--record /", &["cannot create /", "Is a directory"]);
}

#[test]
fn invalid_durations_counts_and_sizes() {
    trace("--duration 0s", &["--duration", "longer than 0s"]);
    trace("--duration=-1s", &["--duration", "cannot be negative"]);
    trace("--duration 5", &["--duration", "'5'", "needs a unit", "5s"]);
    trace("--count 0", &["--count", "at least 1"]);
    trace("--count -1", &["-1"]);
    trace("--ring-size 100KiB", &["--ring-size", "64KiB", "128KiB"]);
    trace("--ring-size 1", &["--ring-size", "4KiB"]);
    trace("--ring-size 4GiB", &["--ring-size", "2GiB"]);
    trace("--ring-size many", &["--ring-size", "many", "64KiB"]);
    trace("ls -l", &["unexpected argument"]);
}

#[test]
fn invalid_flags_of_replay() {
    let file = fixture("self-connect-tp_btf-ipv4.probe");
    let file = file.display();
    usage(&format!("replay {file} --netns /proc/self/ns/net"), &["--netns", "inode"]);
    usage(&format!("replay {file} --only connect-failed --fail-on stuck"), &["--only", "--fail-on"]);
    usage(&format!("replay {file} --duration 1s"), &["unexpected argument", "--duration"]);
    usage(&format!("replay {file} --time-wait"), &["unexpected argument", "--time-wait"]);
}
