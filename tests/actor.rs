//! Processes that execute socket calls for a test, one command at a time.
//!
//! An actor is this test binary, re-executed to run [`role`] alone. Commands arrive on a Unix socket,
//! each answered when done; the actor exits when the socket closes, so none outlives its test. The commands are
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

/// Set to make this binary an actor; names the socket inherited as stderr.
const ROLE: &str = "PROBE_TEST_ACTOR";

/// A process that executes commands.
pub struct Actor {
    pid: u32,
    commands: OwnedFd,
    /// `None` for a child of another actor.
    process: Option<Child>,
}

impl Actor {
    /// A process with this name in the calling thread's namespace.
    pub fn here(name: &str) -> Self {
        let (process, commands) = start(Stdio::inherit(), "");
        let actor = Self { pid: process.id(), commands, process: Some(process) };
        actor.is_called(name);
        actor
    }

    /// A process with this name in a namespace.
    pub fn inside(namespace: &Namespace, name: &str) -> Self {
        namespace.enter(|| Self::here(name)).unwrap()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Changes its name (comm) to arbitrary bytes.
    pub fn is_called(&self, name: impl AsRef<[u8]>) {
        self.carries_out([b"comm ", name.as_ref()].concat());
    }

    /// Executes a command that must succeed, and returns its answer.
    #[track_caller]
    pub fn does(&self, command: &str) -> String {
        self.tries(command).unwrap_or_else(|refusal| panic!("{command}: {refusal}"))
    }

    /// The same for a command that answers with an address.
    #[track_caller]
    pub fn at(&self, command: &str) -> SocketAddr {
        self.does(command).parse().unwrap()
    }

    /// Executes a command that may fail; the error is the name of the errno.
    pub fn tries(&self, command: &str) -> Result<String, String> {
        self.begins(command);
        self.ends()
    }

    /// Starts a command that may block.
    pub fn begins(&self, command: &str) {
        Message::of(command).send(&self.commands).unwrap();
    }

    /// Waits for the answer to a started command.
    pub fn ends(&self) -> Result<String, String> {
        self.answer().text()
    }

    /// Returns a duplicate of a descriptor.
    pub fn gives(&self, socket: &str) -> OwnedFd {
        self.begins(&format!("give {socket}"));
        self.answer().descriptor.expect("the answer has a descriptor")
    }

    /// Takes over a descriptor under this name.
    pub fn takes(&self, socket: &str, descriptor: OwnedFd) {
        self.carries_out(Message { descriptor: Some(descriptor), ..Message::of(format!("take {socket}")) });
    }

    /// Forks a child that inherits that socket under the same name.
    pub fn starts(&self, name: &str, inherits: &str) -> Self {
        self.begins(&format!("start {inherits}"));
        let answer = self.answer();
        let commands = answer.descriptor.expect("the answer has the child's socket");
        let pid = String::from_utf8(answer.bytes).unwrap();
        let child = Self { pid: pid.parse().unwrap(), commands, process: None };
        child.is_called(name);
        child
    }

    /// Makes it exit with its remaining sockets open, and waits for it.
    pub fn exits(mut self) {
        self.begins("exit");
        let process = self.process.as_mut().expect("only a direct child can be waited for");
        assert!(process.wait().unwrap().success());
    }

    /// Executes another program (itself, in fact): its sockets are closed on exec(2).
    pub fn becomes(&self, name: &str) {
        self.begins("exec");
        self.is_called(name);
    }

    /// The same, but it keeps this socket.
    pub fn becomes_with(&self, name: &str, socket: &str) {
        self.begins(&format!("exec {socket}"));
        self.is_called(name);
    }

    #[track_caller]
    fn carries_out(&self, command: impl Into<Message>) {
        command.into().send(&self.commands).unwrap();
        self.ends().unwrap();
    }

    fn answer(&self) -> Message {
        Message::receive(&self.commands).expect("the actor is running")
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = Message::of("exit").send(&self.commands);
        if let Some(process) = &mut self.process {
            // It finishes its current command, unless that waits for another actor.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Starts this binary as an actor and returns it with its command socket. Its stderr is the
/// socket that it inherits under this name, if any.
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

/// The actor's main function. Does nothing in an ordinary test run.
#[test]
fn role() {
    if let Ok(inherits) = env::var(ROLE) {
        let commands = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
        play::play(&commands, &inherits);
        process::exit(0);
    }
}
