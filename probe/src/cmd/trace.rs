//! `probe trace`: traces the sockets of this host, or of a command.

use std::{io::Write, thread, time::Duration};

use super::{
    exit::{Exit, Failure},
    filter,
    live::{self, Signals},
    outcome,
    output::{self, NamedFile},
    show,
};
use crate::{
    cli::{Common, TraceArgs},
    detect,
    model::Filter,
    os::{
        child::{ChildProcess, CommandError},
        memory,
    },
    record::Writer,
    session::{self, LiveHost, Scope, Selection, Session, SessionError, StopReason},
    source::live::{Live, LiveOptions},
};

/// How long to follow a command's connections to their close after it has exited.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Traces until a signal, a limit or the command's exit. The exit code is the command's, unless `--fail-on` makes it 1.
pub async fn trace(args: &TraceArgs, common: &Common) -> Result<Exit, Failure> {
    show::check(&args.show)?;
    let filter = Filter { descendants: !args.command.is_empty(), ..filter::of_host(&args.filter)? };
    let files = Files::create(args)?;
    let mut signals = Signals::listen()?;
    // A snapshot may list hundreds of thousands of sockets.
    memory::mmap_large_blocks();
    // The namespaces are searched while the kernel verifies the programs.
    let (existing, remains) = (!args.no_snapshot, args.time_wait);
    let queries = thread::spawn(move || LiveHost::new(existing, remains));
    let live = live::attach(&LiveOptions {
        ring_bytes: args.ring_size,
        filter: filter.clone(),
        summaries: uses_summaries(args),
        binds: true,
        resets: true,
        ..live::options(common)
    })?;
    let queries = queries.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let mut session = session(args, filter, live.pid(), queries, files)?;
    let exit = match args.command.is_empty() {
        true => host(&mut session, live, args, &mut signals).await?,
        false => command(&mut session, live, args, &mut signals).await?,
    };
    Ok(show::exit(&session, &args.show, exit))
}

/// Traces the host until a signal or a limit.
async fn host(
    session: &mut Session,
    mut live: Live,
    args: &TraceArgs,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let followed = match session.ready(&mut live).await {
        Ok(()) => session::follow(session, &mut live, args.duration, signals.next()).await.map(drop),
        Err(error) => Err(error),
    };
    outcome(close(session, &live, followed), |()| Exit::Expected)
}

/// Traces a command until it exits. The command runs to its end and its exit status is passed on, even if the trace
/// fails or stops first.
async fn command(
    session: &mut Session,
    mut live: Live,
    args: &TraceArgs,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let ready = session.ready(&mut live).await;
    let started = ChildProcess::start(&args.command).map_err(not_started);
    let (followed, started) = match (ready, started) {
        (Ok(()), Ok(mut running)) => {
            let followed = follow(session, &mut live, args, &mut running, signals).await;
            (followed, Ok(running))
        }
        (ready, started) => (ready, started),
    };
    let closed = close(session, &live, followed);
    drop(live);
    let code = wait_for_exit(&mut started?, signals).await?;
    outcome(closed, |()| Exit::Expected).map(|_| Exit::Command(code))
}

/// Traces a command until it exits or a limit is reached, and then its connections until they close.
async fn follow(
    session: &mut Session,
    live: &mut Live,
    args: &TraceArgs,
    running: &mut ChildProcess,
    signals: &mut Signals,
) -> Result<(), SessionError> {
    match session::follow(session, live, args.duration, wait_for_exit(running, signals)).await? {
        StopReason::Requested(_) => session::settle_closing(session, live, CLOSE_TIMEOUT).await,
        StopReason::DurationElapsed | StopReason::LineLimit | StopReason::SourceEnded => Ok(()),
    }
}

/// Waits for the command's exit status. Signals that would end the trace are forwarded to the command.
async fn wait_for_exit(running: &mut ChildProcess, signals: &mut Signals) -> Result<u8, Failure> {
    loop {
        tokio::select! {
            status = running.exit_status() => return status.map_err(Failure::unexpected),
            signal = signals.next() => running.forward(signal),
        }
    }
}

/// Closes the stream, even after an error.
fn close(session: &mut Session, live: &Live, followed: Result<(), SessionError>) -> Result<(), SessionError> {
    let closed = session.finish(Some(live.attach_time()));
    followed.and(closed.map(drop))
}

/// Whether the kernel side may report whole connections instead of each transition. A command's half-closed connections
/// are found by their transitions and followed to their close, so a command needs transitions.
fn uses_summaries(args: &TraceArgs) -> bool {
    let needed = args.show.fail_on.iter().any(|kind| kind.needs_transitions());
    args.show.connections && args.command.is_empty() && !needed
}

fn session(
    args: &TraceArgs,
    filter: Filter,
    own: u32,
    queries: LiveHost,
    files: Files,
) -> Result<Session, Failure> {
    let pids = if filter.descendants { vec![own] } else { filter.pids };
    let selection = Selection {
        filter: Filter::default(),
        view: show::view(&args.show),
        kinds: args.show.only.clone(),
        max_lines: args.count,
    };
    let layout = show::layout(&args.show);
    let (render, out) = match files.output {
        Some(file) => (layout.for_file(), Box::new(file) as Box<dyn Write>),
        None => (layout.for_stdout(), output::unbuffered()),
    };
    let recording = files.record.map(|file| Writer::new(output::buffered(file))).transpose();
    let session = Session::new(Scope::All, render, out);
    let session = if args.quiet { session.record_only() } else { session };
    Ok(session
        .recording(recording.map_err(Failure::unexpected)?)
        .stream_filter(Filter { pids, ..filter })
        .selection(selection)
        .detector_options(detect::Options { summaries: uses_summaries(args), ..show::detection(&args.show) })
        .host_queries(Box::new(queries)))
}

/// The exit status by which a shell reports a command that does not run.
fn not_started(error: CommandError) -> Failure {
    let code = match error {
        CommandError::NotFound(_) => 127,
        CommandError::NotExecutable { .. } => 126,
    };
    Failure { exit: Exit::Command(code), message: error.to_string() }
}

/// The files of --output and --record.
struct Files {
    output: Option<NamedFile>,
    record: Option<NamedFile>,
}

impl Files {
    fn create(args: &TraceArgs) -> Result<Self, Failure> {
        let output = args.output.as_deref().map(NamedFile::create).transpose()?;
        let record = args.record.as_deref().map(NamedFile::create).transpose()?;
        if let Some(record) = &record {
            let other = match &output {
                Some(output) => output.is_same(record).then_some("--output"),
                None => record.is_stdout().then_some("stdout"),
            };
            if let Some(other) = other {
                return Err(Failure::usage(format!(
                    "--record and {other} are the same file: give each its own"
                )));
            }
        }
        Ok(Self { output, record })
    }
}
