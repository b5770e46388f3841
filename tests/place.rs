//! A network namespace where no acknowledgment waits for a timer.
//!
//! What a timer brings about happens in an interrupt, and there is a kernel that tells no BPF program of it while a thread of the
//! host's first process is on the CPU (see `probe/src/source/live/misses.rs`). A test that expects every transition would wait for one
//! in vain, once in some hundred such times.

use std::process::{Command, ExitStatus};

use probe::net::Namespace;

/// The routes that the kernel gives a loopback device: the one of the whole network, and of the address itself.
const ROUTES: [&str; 2] = ["127.0.0.0/8", "127.0.0.1"];

/// A new one, for what goes over IPv4.
pub fn place() -> Namespace {
    let inside = Namespace::private().unwrap();
    let tell = |route| {
        let change =
            format!("route change table local local {route} dev lo src 127.0.0.1 scope host quickack 1");
        Command::new("ip").args(change.split(' ')).status().expect("ip, of iproute2")
    };
    assert!(inside.enter(|| ROUTES.map(tell)).unwrap().iter().all(ExitStatus::success));
    inside
}
