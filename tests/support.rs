//! The tool as its users have it: started with arguments, read line by line, held to a deadline.

use std::{
    ffi::OsStr,
    fmt,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use serde_json::Value;

use crate::objects;
pub use crate::objects::{Objects, number, text};

/// How long anything may take on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The tool that cargo built.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_probe");

/// A file that belongs to the tests.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)
}

/// A run of the tool that has not started yet.
pub struct Probe(Command);

impl Probe {
    /// The tool with these arguments, blanks between them, in an environment that says nothing of
    /// widths and colours.
    pub fn new(arguments: &str) -> Self {
        Self::of(PROGRAM, arguments)
    }

    /// The same of another program: the tool by another path, or one that starts the tool.
    pub fn of(program: impl AsRef<OsStr>, arguments: &str) -> Self {
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace());
        for variable in ["COLUMNS", "NO_COLOR", "RUST_LOG"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command)
    }

    /// One more argument, blanks included.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.0.arg(argument);
        self
    }

    /// A variable of the environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Sends what it writes elsewhere.
    pub fn stdout(mut self, elsewhere: impl Into<Stdio>) -> Self {
        self.0.stdout(elsewhere);
        self
    }

    /// Gives it something to read.
    pub fn stdin(mut self, from: impl Into<Stdio>) -> Self {
        self.0.stdin(from);
        self
    }

    /// Changes the command in a way of the test's own.
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
        let (tell, said) = mpsc::channel();
        let pid = child.id();
        listen(&mut child, &tell);
        thread::spawn(move || tell.send(Said::Ended(child.wait().expect("a child can be waited for"))));
        let outcome = Outcome { command, ..Outcome::default() };
        Running { pid, said, deadline: Instant::now() + PATIENCE, outcome }
    }

    /// Runs it to its end.
    pub fn run(self) -> Outcome {
        self.start().finish()
    }
}

/// What comes from a running process.
enum Said {
    Line(String),
    Errors(String),
    Ended(ExitStatus),
}

fn listen(child: &mut Child, tell: &Sender<Said>) {
    if let Some(stdout) = child.stdout.take() {
        let tell = tell.clone();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let line = line.expect("the tool writes UTF-8");
                // Nobody listens to the rest of a test that has failed.
                if tell.send(Said::Line(line)).is_err() {
                    break;
                }
            }
        });
    }
    if let Some(mut stderr) = child.stderr.take() {
        let tell = tell.clone();
        thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).expect("the tool writes UTF-8");
            tell.send(Said::Errors(text))
        });
    }
}

/// A run of the tool under way. Dropping it kills the process.
pub struct Running {
    pid: u32,
    said: Receiver<Said>,
    deadline: Instant,
    outcome: Outcome,
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for a line on stdout that is as `wanted` asks. What came before it is kept for the end.
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
        panic!("no {what} came from {}", self.outcome);
    }

    /// Waits for an object on stdout that is as `wanted` asks.
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
        signal::kill(self.id(), signal).expect("the process is there");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(mut self) -> Outcome {
        while self.next() {}
        std::mem::take(&mut self.outcome)
    }

    /// Takes in the next of what it says; `false` when all is said.
    #[track_caller]
    fn next(&mut self) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.said.recv_timeout(left) {
            Ok(Said::Line(line)) => self.outcome.stdout.extend([line.as_str(), "\n"]),
            Ok(Said::Errors(text)) => self.outcome.stderr = text,
            Ok(Said::Ended(status)) => self.outcome.status = Some(status),
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => panic!("this does not end: {}", self.outcome),
        }
        true
    }

    fn id(&self) -> Pid {
        Pid::from_raw(self.pid.cast_signed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = || self.said.try_iter().any(|said| matches!(said, Said::Ended(_)));
        // In `finish`, the outcome is taken and everything is said.
        if self.outcome.status.is_none() && !self.outcome.command.is_empty() && !ended() {
            let _ = signal::kill(self.id(), Signal::SIGKILL);
        }
    }
}

/// How a run ended.
#[derive(Default)]
pub struct Outcome {
    command: String,
    status: Option<ExitStatus>,
    /// Everything it wrote there, where it was not sent elsewhere.
    pub stdout: String,
    /// Everything it wrote there.
    pub stderr: String,
}

impl Outcome {
    /// Holds the exit code against the one expected.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.status.and_then(|status| status.code()), Some(code), "{self}");
        self
    }

    /// Holds the end against one by this signal.
    #[track_caller]
    pub fn dies_of(self, signal: Signal) -> Self {
        assert_eq!(self.status.and_then(|status| status.signal()), Some(signal as i32), "{self}");
        self
    }

    /// Expects nothing on stderr.
    #[track_caller]
    pub fn silently(self) -> Self {
        assert_eq!(self.stderr, "", "{self}");
        self
    }

    /// Expects one line on stderr, which names all of `words`.
    #[track_caller]
    pub fn saying(self, words: &[&str]) -> Self {
        assert_eq!(self.stderr.lines().count(), 1, "one line: {self}");
        self.naming(words)
    }

    /// Expects all of `words` on stderr, however many lines there are.
    #[track_caller]
    pub fn naming(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}` from {self}");
        }
        for trace in ["panicked", "RUST_BACKTRACE", "stack backtrace"] {
            assert!(!self.stderr.contains(trace), "{self}");
        }
        self
    }

    /// The objects on stdout.
    #[track_caller]
    pub fn objects(&self) -> Objects {
        Objects::parse(&self.stdout)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, status, stdout, stderr } = self;
        write!(f, "{command}, which ended with {status:?}\nstderr:\n{stderr}\nstdout:\n{stdout}")
    }
}
