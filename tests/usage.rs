//! What cannot be meant by `probe trace` and `probe replay`: each refusal names what is wrong, and what to write.

use crate::{failures::usage, support::fixture};

#[track_caller]
fn trace(arguments: &str, words: &[&str]) {
    usage(&format!("trace {arguments}"), words);
}

#[test]
fn ports_and_addresses() {
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
fn processes_and_places() {
    trace("--pid 0", &["--pid", "0"]);
    trace("--pid self", &["--pid", "self"]);
    trace("--comm a-name-longer-than-fifteen", &["--comm", "15 bytes"]);
    trace("--netns /nowhere/net", &["--netns", "/nowhere/net", "No such file"]);
    trace("--netns nowhere", &["--netns", "nowhere"]);
    trace("--netns 4194304", &["--netns", "4194304"]);
    trace("--netns /proc/version", &["--netns", "/proc/version"]);
    trace("--cgroup /no/such/group", &["--cgroup", "/no/such/group"]);
    trace("--pid 1 -- true", &["--pid", "COMMAND"]);
}

#[test]
fn what_is_shown() {
    trace("--only everything", &["--only", "everything", "self-connect", "stuck"]);
    trace("--fail-on everything", &["--fail-on", "everything", "self-connect", "stuck"]);
    trace("--only stuck --fail-on self-connect", &["--only", "--fail-on", "self-connect"]);
    trace("--connections --only stuck", &["--connections", "--only"]);
    trace("--format xml", &["--format", "table", "json"]);
    trace("--time yesterday", &["--time", "elapsed", "absolute", "delta"]);
    trace("--stuck-after 0s", &["--stuck-after", "no time at all"]);
    trace("--stuck-after soon", &["--stuck-after", "40ms"]);
    trace("--output /nowhere/file", &["/nowhere/file", "No such file or directory"]);
    trace("--record /nowhere/file", &["/nowhere/file", "No such file or directory"]);
    trace("--record /", &["cannot write /", "Is a directory"]);
}

#[test]
fn how_long_and_how_large() {
    trace("--duration 0s", &["--duration", "no time at all"]);
    trace("--duration=-1s", &["--duration", "cannot be negative"]);
    trace("--duration 5", &["--duration", "40ms"]);
    trace("--count 0", &["--count"]);
    trace("--count -1", &["-1"]);
    trace("--ring-size 100KiB", &["--ring-size", "64KiB", "128KiB"]);
    trace("--ring-size 1", &["--ring-size", "4KiB"]);
    trace("--ring-size 4GiB", &["--ring-size", "2GiB"]);
    trace("--ring-size many", &["--ring-size", "many", "64KiB"]);
    trace("ls -l", &["unexpected argument"]);
}

#[test]
fn of_a_recording() {
    let file = fixture("self-connect-tp_btf-ipv4.probe");
    let file = file.display();
    usage(&format!("replay {file} --netns /proc/self/ns/net"), &["--netns", "inode"]);
    usage(&format!("replay {file} --only connect-failed --fail-on stuck"), &["--only", "--fail-on"]);
    usage(&format!("replay {file} --duration 1s"), &["unexpected argument", "--duration"]);
    usage(&format!("replay {file} --time-wait"), &["unexpected argument", "--time-wait"]);
}
