//! A network namespace without delayed ACKs.
//!
//! Timers run in interrupts, and one kernel build runs no BPF program in an interrupt while a thread of pid 1 is on the
//! CPU (see `probe/src/source/live/misses.rs`). A test that expects every transition would wait in vain about once in
//! a hundred delayed ACKs.

use std::process::{Command, ExitStatus};

use probe::net::Namespace;

/// The loopback device's routes: of its network and of its address.
const ROUTES: [&str; 2] = ["127.0.0.0/8", "127.0.0.1"];

/// A new namespace whose IPv4 loopback routes have `quickack` set.
pub fn quickack_netns() -> Namespace {
    let inside = Namespace::private().unwrap();
    let set_quickack = |route| {
        let change =
            format!("route change table local local {route} dev lo src 127.0.0.1 scope host quickack 1");
        Command::new("ip").args(change.split(' ')).status().expect("ip from iproute2")
    };
    assert!(inside.enter(|| ROUTES.map(set_quickack)).unwrap().iter().all(ExitStatus::success));
    inside
}
