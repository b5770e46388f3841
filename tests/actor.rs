//! Processes that do with sockets what a test tells them, one call at a time.
//!
//! An actor is this test binary once more, started to play [`role`] alone. Its orders come over a Unix socket,
//! each answered when it is done; with the socket it ends, so none outlives its test. What it can be told is
//! in `play`.

mod message;
mod play;

use std::{
    env,
    net::SocketAddr,
    os::fd::{AsFd as _, OwnedFd},
    process::{self, Child, Command, Stdio},
};

use probe::net::Namespace;

use self::message::Message;

/// Says to this binary that it is to play, and what its stderr holds.
const ROLE: &str = "PROBE_TEST_ACTOR";

/// A process that does as it is told.
pub struct Actor {
    pid: u32,
    orders: OwnedFd,
    /// `None` for the child of another actor.
    process: Option<Child>,
}

impl Actor {
    /// A process of this name in the namespace of the calling thread.
    pub fn here(name: &str) -> Self {
        let (process, orders) = start(Stdio::inherit(), "");
        let actor = Self { pid: process.id(), orders, process: Some(process) };
        actor.is_called(name);
        actor
    }

    /// A process of this name in a namespace.
    pub fn inside(namespace: &Namespace, name: &str) -> Self {
        namespace.enter(|| Self::here(name)).unwrap()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Takes another name, of any bytes.
    pub fn is_called(&self, name: impl AsRef<[u8]>) {
        self.carries_out([b"comm ", name.as_ref()].concat());
    }

    /// Has it carry out an order that must succeed, and returns what it answers.
    #[track_caller]
    pub fn does(&self, order: &str) -> String {
        self.tries(order).unwrap_or_else(|refusal| panic!("{order}: {refusal}"))
    }

    /// The same of an order that is answered with an address.
    #[track_caller]
    pub fn at(&self, order: &str) -> SocketAddr {
        self.does(order).parse().unwrap()
    }

    /// Has it try to carry out an order; a refusal is the name of its error number.
    pub fn tries(&self, order: &str) -> Result<String, String> {
        self.begins(order);
        self.ends()
    }

    /// Gives it an order that may take its time.
    pub fn begins(&self, order: &str) {
        Message::of(order).send(&self.orders).unwrap();
    }

    /// Waits for the answer to the order that it has begun.
    pub fn ends(&self) -> Result<String, String> {
        self.answer().text()
    }

    /// Hands out a copy of a descriptor.
    pub fn gives(&self, socket: &str) -> OwnedFd {
        self.begins(&format!("give {socket}"));
        self.answer().descriptor.expect("a descriptor was asked for")
    }

    /// Takes a descriptor over, by this name.
    pub fn takes(&self, socket: &str, descriptor: OwnedFd) {
        self.carries_out(Message { descriptor: Some(descriptor), ..Message::of(format!("take {socket}")) });
    }

    /// Has it start a child of its own, which inherits that socket under the same name.
    pub fn starts(&self, name: &str, inherits: &str) -> Self {
        self.begins(&format!("start {inherits}"));
        let answer = self.answer();
        let orders = answer.descriptor.expect("a child comes with its socket");
        let pid = String::from_utf8(answer.bytes).unwrap();
        let child = Self { pid: pid.parse().unwrap(), orders, process: None };
        child.is_called(name);
        child
    }

    /// Has it end, with all sockets that it still has open, and waits until that is done.
    pub fn exits(mut self) {
        self.begins("exit");
        let process = self.process.as_mut().expect("nobody but its parent can wait for a process");
        assert!(process.wait().unwrap().success());
    }

    /// Has it become another program, as if: what it has open is closed on exec(2).
    pub fn becomes(&self, name: &str) {
        self.begins("exec");
        self.is_called(name);
    }

    #[track_caller]
    fn carries_out(&self, order: impl Into<Message>) {
        order.into().send(&self.orders).unwrap();
        self.ends().unwrap();
    }

    fn answer(&self) -> Message {
        Message::receive(&self.orders).expect("the actor lives")
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = Message::of("exit").send(&self.orders);
        if let Some(process) = &mut self.process {
            // It ends whatever it was at, but for a call that waits for another actor.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Starts this binary as an actor, and returns it with the socket that its orders go into. Its stderr is the
/// socket that it inherits under this name, if that is one.
fn start(stderr: Stdio, inherits: &str) -> (Child, OwnedFd) {
    let (ours, its) = message::pair();
    let process = Command::new(env::current_exe().unwrap())
        .args(["--exact", "actor::role", "--nocapture", "--quiet"])
        .env(ROLE, inherits)
        .stdin(its)
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    (process, ours)
}

/// What an actor does in place of tests. Nothing where nobody asked for one.
#[test]
fn role() {
    if let Ok(inherits) = env::var(ROLE) {
        let orders = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
        play::play(&orders, &inherits);
        process::exit(0);
    }
}
