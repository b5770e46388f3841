//! Connections held open, spread over as many processes as the descriptor limit requires.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{TRANSITIONS, TRANSITIONS_LISTENER};

/// The subcommand with which xtask starts itself as a holding process.
pub const CHORE: &str = "bench-hold";

/// Transitions of both endpoints up to ESTABLISHED; the rest of [`TRANSITIONS`] follows at close.
const TRANSITIONS_OPENING: u64 = 4;

/// Descriptors per process that are not connections.
const OTHER_DESCRIPTORS: u64 = 64;

/// The holding processes, in the generator's namespace.
#[derive(Default)]
pub struct Holders(Vec<Holder>);

struct Holder {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    connections: u64,
}

impl Holders {
    /// Opens this many more. Returns the numbers of connections and transitions.
    pub fn hold(&mut self, connections: u64) -> Result<(u64, u64)> {
        let each = room()?;
        let mut left = connections;
        let mut transitions = 0;
        while left > 0 {
            let holder = Holder::start(left.min(each))?;
            left -= holder.connections;
            transitions += holder.connections * TRANSITIONS_OPENING + TRANSITIONS_LISTENER / 2;
            self.0.push(holder);
        }
        Ok((connections, transitions))
    }

    /// Closes all. Returns the numbers of connections and transitions.
    pub fn release(&mut self) -> Result<(u64, u64)> {
        let (mut connections, mut transitions) = (0, 0);
        for holder in self.0.drain(..) {
            connections += holder.connections;
            transitions +=
                holder.connections * (TRANSITIONS - TRANSITIONS_OPENING) + TRANSITIONS_LISTENER / 2;
            holder.end()?;
        }
        Ok((connections, transitions))
    }
}

impl Holder {
    fn start(connections: u64) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([CHORE, &connections.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take().context("it is piped")?;
        let mut output = BufReader::new(process.stdout.take().context("it is piped")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "could not open and hold {connections} connections");
        Ok(Self { process, input, output, connections })
    }

    fn end(mut self) -> Result<()> {
        drop(self.input);
        self.output.read_line(&mut String::new())?;
        let status = self.process.wait()?;
        ensure!(status.success(), "could not close the connections");
        Ok(())
    }
}

/// Connections, of two descriptors each, that a process can hold. Raises the soft limit to the hard one.
fn room() -> Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let most = fs::read_to_string("/proc/sys/fs/nr_open")?.trim().parse().unwrap_or(hard);
    for limit in [most, hard] {
        if setrlimit(Resource::RLIMIT_NOFILE, limit, limit.max(hard)).is_ok() {
            return Ok((limit - OTHER_DESCRIPTORS) / 2);
        }
    }
    Ok((soft - OTHER_DESCRIPTORS) / 2)
}

/// The holding process: opens this many connections, reports it, and closes them at end of input.
///
/// # Errors
/// The host's limits do not allow that many.
pub fn keep(connections: u64) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let pairs = (0..connections)
        .map(|_| {
            let client = TcpStream::connect(address)?;
            let (server, _) = listener.accept()?;
            Ok((client, server))
        })
        .collect::<io::Result<Vec<_>>>()
        .with_context(|| format!("could not hold {connections} connections open"))?;
    println!("open");
    io::stdin().lock().read_to_end(&mut Vec::new())?;
    for (mut client, server) in pairs {
        server.shutdown(Shutdown::Write)?;
        while client.read(&mut [0])? > 0 {}
        drop(client);
        drop(server);
    }
    println!("closed");
    Ok(())
}
