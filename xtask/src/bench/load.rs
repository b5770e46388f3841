//! The load: TCP connections over loopback, opened by a separate process in its own network namespace.
//!
//! Tracers see that process like any other, and the host's ports, sockets and sysctls are untouched.
//! The process ([`generator`]) reads one [`Request`] per line and answers with what it did; this is the requesting
//! side.

mod churn;
pub mod generator;
pub mod hold;
mod namespace;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::child::Child;

/// Transitions of both endpoints of a connection that is opened, accepted and closed.
const TRANSITIONS: u64 = 10;
/// Transitions of both endpoints of a connection that one of them resets.
const TRANSITIONS_RESET: u64 = 6;
/// Transitions of a listener: opened and closed.
const TRANSITIONS_LISTENER: u64 = 2;

/// A request to the generator.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub enum Request {
    /// Open, accept and close connections.
    Churn(Churn),
    /// Open this many more connections and hold them open.
    Hold(u64),
    /// Close all connections that are held open.
    Release,
}

/// Consecutive connections on each thread.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Churn {
    /// Number of concurrent threads, each with its own listener.
    pub threads: u64,
    /// When to stop.
    pub until: Limit,
    /// Connections per second over all threads; `None` is as fast as possible.
    pub rate: Option<u64>,
    /// How each connection is closed.
    pub close: Close,
}

/// When to stop.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub enum Limit {
    /// After this many connections over all threads.
    Connections(u64),
    /// After this time.
    Time(Duration),
}

/// How a connection is closed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub enum Close {
    /// A FIN exchange.
    Fin,
    /// An RST from one endpoint (`SO_LINGER` 0).
    Reset,
}

impl Churn {
    /// This many connections, as fast as this many threads can open them.
    pub fn of(threads: u64, connections: u64) -> Self {
        Self { threads, until: Limit::Connections(connections), rate: None, close: Close::Fin }
    }
}

/// What the generator did.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Completed {
    /// Connections opened; both endpoints are on this host.
    pub connections: u64,
    /// Transitions of these endpoints and of the listeners.
    pub transitions: u64,
    /// Start time (CLOCK_MONOTONIC, nanoseconds).
    pub begun_ns: u64,
    /// Duration.
    pub seconds: f64,
}

impl Completed {
    /// Connections per second.
    pub fn rate(&self) -> f64 {
        self.connections as f64 / self.seconds
    }
}

/// The running generator.
pub struct Load {
    // Dropping `requests` closes the generator's standard input, at which it exits.
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    _process: Child,
    /// A request failed.
    pub has_failed: bool,
}

impl Load {
    /// Starts the generator in a new network namespace.
    ///
    /// # Errors
    /// It cannot be started, or cannot create a namespace.
    pub fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(generator::CHORE).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Child::start(&mut command)?;
        let requests = process.stdin().context("the load generator has no input")?;
        let answers = BufReader::new(process.stdout().context("the load generator has no output")?);
        Ok(Self { requests, answers, _process: process, has_failed: false })
    }

    /// Opens and closes connections.
    ///
    /// # Errors
    /// The generator failed; its own message is on stderr.
    pub fn churn(&mut self, churn: Churn) -> Result<Completed> {
        self.execute(Request::Churn(churn))
    }

    /// Opens connections and holds them open.
    ///
    /// # Errors
    /// As for [`churn`](Self::churn); among them the host's limits on descriptors and processes.
    pub fn hold(&mut self, connections: u64) -> Result<Completed> {
        self.execute(Request::Hold(connections))
    }

    /// Closes the connections that are held open.
    ///
    /// # Errors
    /// As for [`churn`](Self::churn).
    pub fn release(&mut self) -> Result<Completed> {
        self.execute(Request::Release)
    }

    fn execute(&mut self, request: Request) -> Result<Completed> {
        let done = self.ask(request);
        self.has_failed |= done.is_err();
        done
    }

    fn ask(&mut self, request: Request) -> Result<Completed> {
        writeln!(self.requests, "{}", serde_json::to_string(&request)?)?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            bail!("the load generator exited while handling {request:?}");
        }
        serde_json::from_str(&answer).with_context(|| format!("the load generator answered {answer}"))
    }
}
