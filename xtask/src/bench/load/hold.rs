//! Connections that are open and stay so: in as many processes as the limit on descriptors asks for.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{TRANSITIONS, TRANSITIONS_LISTENER};

/// The name under which xtask starts itself as a process that keeps connections open.
pub const CHORE: &str = "bench-hold";

/// What two ends make until both are ESTABLISHED; the rest of [`TRANSITIONS`] comes at their end.
const TRANSITIONS_OPENING: u64 = 4;

/// Descriptors of a process that are no connections' ends.
const OTHER_DESCRIPTORS: u64 = 64;

/// The processes, in the generator's namespace.
#[derive(Default)]
pub struct Holders(Vec<Holder>);

struct Holder {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    connections: u64,
}

impl Holders {
    /// Opens so many more. Gives the numbers of connections and of transitions that were made.
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

    /// Closes all. Gives the numbers of connections and of transitions that were made.
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
        let input = process.stdin.take().context("a pipe was asked for")?;
        let mut output = BufReader::new(process.stdout.take().context("a pipe was asked for")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "{connections} connections could not be opened and kept");
        Ok(Self { process, input, output, connections })
    }

    fn end(mut self) -> Result<()> {
        drop(self.input);
        self.output.read_line(&mut String::new())?;
        let status = self.process.wait()?;
        ensure!(status.success(), "connections could not be closed");
        Ok(())
    }
}

/// How many connections, of two descriptors each, a process can hold. The limit is raised where that is allowed.
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

/// The process itself: opens so many connections, says so, and closes them when its input ends.
///
/// # Errors
/// The host does not give so many.
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
        .with_context(|| format!("could not open {connections} connections at once"))?;
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
