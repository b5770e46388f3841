//! Runs the tool as users do: with arguments, reading line by line, with a deadline.

use std::{
    ffi::OsStr,
    fmt,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::process::ExitStatusExt as _,
    panic,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::signal::{self, Signal},
    unistd::Pid,
};
use serde_json::Value;

use crate::objects;
pub use crate::objects::{Objects, number, text};

/// Deadline for anything on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The binary that cargo built.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_probe");

/// A file in `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)
}

/// A command line of the tool.
pub struct Probe(Command);

impl Probe {
    /// The tool with these space-separated arguments, in an environment without variables for
    /// width and colour.
    pub fn new(arguments: &str) -> Self {
        Self::of(PROGRAM, arguments)
    }

    /// Another program: the tool under another path, or one that starts it.
    pub fn of(program: impl AsRef<OsStr>, arguments: &str) -> Self {
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace());
        for variable in ["COLUMNS", "NO_COLOR", "RUST_LOG"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command)
    }

    /// Adds one argument, spaces included.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.0.arg(argument);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Redirects stdout.
    pub fn stdout(mut self, elsewhere: impl Into<Stdio>) -> Self {
        self.0.stdout(elsewhere);
        self
    }

    /// Redirects stdin.
    pub fn stdin(mut self, from: impl Into<Stdio>) -> Self {
        self.0.stdin(from);
        self
    }

    /// Modifies the command.
    pub fn with(mut self, change: impl FnOnce(&mut Command)) -> Self {
        change(&mut self.0);
        self
    }

    /// Starts it, in the namespaces of the calling thread.
    pub fn start(mut self) -> Running {
        let mut child = self.0.spawn().unwrap_or_else(|error| panic!("starting {:?}: {error}", self.0));
        let command = format!("{:?}", self.0);
        // The command still holds what was to be the child's stdout, and a pipe ends with its last holder.
        drop(self.0);
        let (sender, said) = mpsc::channel();
        let pid = child.id();
        listen(&mut child, &sender);
        thread::spawn(move || sender.send(Output::Ended(child.wait().expect("a child can be waited for"))));
        let outcome = Outcome { command, ..Outcome::default() };
        Running { pid, said, deadline: Instant::now() + PATIENCE, outcome }
    }

    /// Runs it to its end.
    pub fn run(self) -> Outcome {
        self.start().finish()
    }
}

/// Does this with nothing behind each of these paths: an empty directory, or an empty file.
pub fn hiding<T: Send>(paths: &[&str], work: impl FnOnce() -> T + Send) -> T {
    let hide = |path: &&str| {
        if Path::new(path).is_dir() {
            mount(Some("none"), *path, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        } else if Path::new(path).exists() {
            mount(Some("/dev/null"), *path, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        }
    };
    // A mount namespace belongs to a thread and vanishes with it and its processes.
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            let all_of_them = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, all_of_them, None::<&str>).unwrap();
            paths.iter().for_each(hide);
            work()
        });
        run.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}

/// Output of a running process.
enum Output {
    Line(String),
    Errors(String),
    Ended(ExitStatus),
}

fn listen(child: &mut Child, sender: &Sender<Output>) {
    if let Some(stdout) = child.stdout.take() {
        let sender = sender.clone();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let line = line.expect("the output is UTF-8");
                // The receiver is gone if the test has failed.
                if sender.send(Output::Line(line)).is_err() {
                    break;
                }
            }
        });
    }
    if let Some(mut stderr) = child.stderr.take() {
        let sender = sender.clone();
        thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).expect("the output is UTF-8");
            sender.send(Output::Errors(text))
        });
    }
}

/// A running process. Dropping it kills the process.
pub struct Running {
    pid: u32,
    said: Receiver<Output>,
    deadline: Instant,
    outcome: Outcome,
}

impl Running {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for a line on stdout that satisfies `wanted`. Earlier lines remain in the outcome.
    #[track_caller]
    pub fn wait_for_line(&mut self, what: &str, wanted: impl Fn(&str) -> bool) {
        let mut seen = self.outcome.stdout.len();
        while self.next() {
            let line = &self.outcome.stdout[seen..];
            if !line.is_empty() && wanted(line.trim_end()) {
                return;
            }
            seen = self.outcome.stdout.len();
        }
        panic!("no {what} in the output of {}", self.outcome);
    }

    /// Waits for an object on stdout that satisfies `wanted`.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) {
        self.wait_for_line(what, |line| wanted(&objects::parse(line)));
    }

    /// Waits until a socket enters this state.
    #[track_caller]
    pub fn wait_for_state(&mut self, state: &str) {
        self.wait_for(state, |object| object["type"] == "transition" && object["new"] == state);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        signal::kill(self.id(), signal).expect("the process exists");
    }

    /// Waits until it exits.
    #[track_caller]
    pub fn finish(mut self) -> Outcome {
        self.deadline = Instant::now() + PATIENCE;
        while self.next() {}
        std::mem::take(&mut self.outcome)
    }

    /// Reads the next output; `false` at end of output.
    #[track_caller]
    fn next(&mut self) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.said.recv_timeout(left) {
            Ok(Output::Line(line)) => self.outcome.stdout.extend([line.as_str(), "\n"]),
            Ok(Output::Errors(text)) => self.outcome.stderr = text,
            Ok(Output::Ended(status)) => self.outcome.status = Some(status),
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => panic!("timed out: {}", self.outcome),
        }
        true
    }

    fn id(&self) -> Pid {
        Pid::from_raw(self.pid.cast_signed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = || self.said.try_iter().any(|said| matches!(said, Output::Ended(_)));
        // After `finish` the outcome is taken and the output complete.
        if self.outcome.status.is_none() && !self.outcome.command.is_empty() && !ended() {
            let _ = signal::kill(self.id(), Signal::SIGKILL);
        }
    }
}

/// The outcome of a run.
#[derive(Default)]
pub struct Outcome {
    command: String,
    status: Option<ExitStatus>,
    /// Its stdout, unless redirected.
    pub stdout: String,
    /// Its stderr.
    pub stderr: String,
}

impl Outcome {
    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.status.and_then(|status| status.code()), Some(code), "{self}");
        self
    }

    /// Asserts that this signal killed it.
    #[track_caller]
    pub fn dies_of(self, signal: Signal) -> Self {
        assert_eq!(self.status.and_then(|status| status.signal()), Some(signal as i32), "{self}");
        self
    }

    /// Asserts that stderr is empty.
    #[track_caller]
    pub fn silently(self) -> Self {
        assert_eq!(self.stderr, "", "{self}");
        self
    }

    /// Asserts one line on stderr that contains all of `words`.
    #[track_caller]
    pub fn saying(self, words: &[&str]) -> Self {
        assert_eq!(self.stderr.lines().count(), 1, "expected one line: {self}");
        self.naming(words)
    }

    /// Asserts that stderr contains all of `words`.
    #[track_caller]
    pub fn naming(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}` in the output of {self}");
        }
        for trace in ["panicked", "RUST_BACKTRACE", "stack backtrace"] {
            assert!(!self.stderr.contains(trace), "{self}");
        }
        self
    }

    /// The JSON objects on stdout.
    #[track_caller]
    pub fn objects(&self) -> Objects {
        Objects::parse(&self.stdout)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, status, stdout, stderr } = self;
        write!(f, "{command}, which exited with {status:?}\nstderr:\n{stderr}\nstdout:\n{stdout}")
    }
}
