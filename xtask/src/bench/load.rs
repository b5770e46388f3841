//! The load: TCP connections over loopback, made by a process of its own in a network namespace of its own.
//!
//! A tracer sees that process like any other, and the host's ports, sockets and sysctls stay as they are.
//! The process ([`generator`]) takes [`Order`]s, a line each, and says what it has done; this is the side
//! that gives them.

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

/// How many transitions the two ends of a connection make that is opened, accepted and closed.
const TRANSITIONS: u64 = 10;
/// The same, where one end resets it.
const TRANSITIONS_RESET: u64 = 6;
/// A listener opens and closes.
const TRANSITIONS_LISTENER: u64 = 2;

/// What is to be done.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub enum Order {
    /// Open, accept and close.
    Churn(Churn),
    /// Open so many connections beside those that are open, and keep them.
    Hold(u64),
    /// Close all that are kept.
    Release,
}

/// Connections one after the other, on each thread.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Churn {
    /// How many threads do it at the same time, each with a listener of its own.
    pub threads: u64,
    /// When it is enough.
    pub until: Until,
    /// How many connections a second, on all threads together; as fast as it goes without.
    pub rate: Option<u64>,
    /// How they end.
    pub close: Close,
}

/// When it is enough.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub enum Until {
    /// After so many connections, on all threads together.
    Connections(u64),
    /// After so long.
    Time(Duration),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub enum Close {
    /// A FIN each way.
    Fin,
    /// An RST from one end (`SO_LINGER` 0).
    Reset,
}

impl Churn {
    /// So many connections, as fast as so many threads make them.
    pub fn of(threads: u64, connections: u64) -> Self {
        Self { threads, until: Until::Connections(connections), rate: None, close: Close::Fin }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Done {
    /// How many connections were made, each of two ends in this host.
    pub connections: u64,
    /// How many transitions these ends, and the listeners, have made.
    pub transitions: u64,
    /// When it began (CLOCK_MONOTONIC, nanoseconds).
    pub begun_ns: u64,
    /// How long it took.
    pub seconds: f64,
}

impl Done {
    /// Connections a second.
    pub fn rate(&self) -> f64 {
        self.connections as f64 / self.seconds
    }
}

/// The generator, running.
pub struct Load {
    // Dropped, the first ends the process's input, at which it ends.
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _process: Child,
    /// An order was not carried out.
    pub has_failed: bool,
}

impl Load {
    /// Starts it, in a new namespace.
    ///
    /// # Errors
    /// It does not start, or is refused a namespace.
    pub fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(generator::CHORE).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Child::start(&mut command)?;
        let orders = process.stdin().context("the load generator has no input")?;
        let answers = BufReader::new(process.stdout().context("the load generator has no output")?);
        Ok(Self { orders, answers, _process: process, has_failed: false })
    }

    /// Opens and closes connections.
    ///
    /// # Errors
    /// The generator could not; its own message is on stderr.
    pub fn churn(&mut self, churn: Churn) -> Result<Done> {
        self.carry_out(Order::Churn(churn))
    }

    /// Opens connections and keeps them.
    ///
    /// # Errors
    /// As for [`churn`](Self::churn); among them the host's limits on descriptors and processes.
    pub fn hold(&mut self, connections: u64) -> Result<Done> {
        self.carry_out(Order::Hold(connections))
    }

    /// Closes those that are kept.
    ///
    /// # Errors
    /// As for [`churn`](Self::churn).
    pub fn release(&mut self) -> Result<Done> {
        self.carry_out(Order::Release)
    }

    fn carry_out(&mut self, order: Order) -> Result<Done> {
        let done = self.ask(order);
        self.has_failed |= done.is_err();
        done
    }

    fn ask(&mut self, order: Order) -> Result<Done> {
        writeln!(self.orders, "{}", serde_json::to_string(&order)?)?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            bail!("the load generator has ended over {order:?}");
        }
        serde_json::from_str(&answer).with_context(|| format!("the load generator answered {answer}"))
    }
}
