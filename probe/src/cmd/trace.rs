//! `probe trace`: what happens to the sockets of this host, as it happens.

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
        child::{CommandError, Running},
        memory,
    },
    record::Writer,
    session::{Ending, LiveHost, Scope, Selection, Session, SessionError},
    source::live::{Live, LiveOptions},
};

/// How long the last packets of a command's connections may take, once it has ended.
const PATIENCE: Duration = Duration::from_secs(1);

/// Traces until it is enough. The exit code is that of `--fail-on`, and of the command, if there was one.
pub async fn trace(args: &TraceArgs, common: &Common) -> Result<Exit, Failure> {
    show::check(&args.show)?;
    let filter = Filter { descendants: !args.command.is_empty(), ..filter::of_host(&args.filter)? };
    let files = Files::create(args)?;
    let mut signals = Signals::listen()?;
    // There may be hundreds of thousands of sockets.
    memory::keep_large_apart();
    // Where the host's namespaces are is found out while the kernel verifies the programs.
    let (existing, remains) = (!args.no_snapshot, args.time_wait);
    let asked = thread::spawn(move || LiveHost::new(existing, remains));
    let live = live::attach(&LiveOptions {
        ring_bytes: args.ring_size,
        filter: filter.clone(),
        summaries: takes_summaries(args),
        binds: true,
        resets: true,
        ..live::options(common)
    })?;
    let asked = asked.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let mut session = session(args, filter, live.pid(), asked, files);
    let exit = match args.command.is_empty() {
        true => host(&mut session, live, args, &mut signals).await?,
        false => command(&mut session, live, args, &mut signals).await?,
    };
    Ok(show::judge(&session, &args.show, exit))
}

/// Traces the host until somebody ends it.
async fn host(
    session: &mut Session,
    mut live: Live,
    args: &TraceArgs,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let followed = match session.ready(&mut live).await {
        Ok(()) => session.follow(&mut live, args.duration, signals.next()).await.map(drop),
        Err(error) => Err(error),
    };
    outcome(close(session, &live, followed), |()| Exit::Expected)
}

/// Traces a command until it ends. It runs to its end and passes its exit status on, whatever becomes of the
/// trace.
async fn command(
    session: &mut Session,
    mut live: Live,
    args: &TraceArgs,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let ready = session.ready(&mut live).await;
    let started = Running::start(&args.command).map_err(not_run);
    let (followed, started) = match (ready, started) {
        (Ok(()), Ok(mut running)) => {
            let followed = follow(session, &mut live, args, &mut running, signals).await;
            (followed, Ok(running))
        }
        (ready, started) => (ready, started),
    };
    let closed = close(session, &live, followed);
    drop(live);
    let code = to_its_end(&mut started?, signals).await?;
    outcome(closed, |()| Exit::Expected).map(|_| Exit::Command(code))
}

/// Follows a command until it is enough, and its connections to their ends.
async fn follow(
    session: &mut Session,
    live: &mut Live,
    args: &TraceArgs,
    running: &mut Running,
    signals: &mut Signals,
) -> Result<(), SessionError> {
    match session.follow(live, args.duration, to_its_end(running, signals)).await? {
        Ending::Asked(_) => session.settle_closing(live, PATIENCE).await,
        Ending::Time | Ending::Lines | Ending::Source => Ok(()),
    }
}

/// Waits for the command's exit status. The signals that would end the trace are the command's now.
async fn to_its_end(running: &mut Running, signals: &mut Signals) -> Result<u8, Failure> {
    loop {
        tokio::select! {
            status = running.ended() => return status.map_err(Failure::unexpected),
            signal = signals.next() => running.pass_on(signal),
        }
    }
}

/// Closes the stream, whatever became of it.
fn close(session: &mut Session, live: &Live, followed: Result<(), SessionError>) -> Result<(), SessionError> {
    let closed = session.finish(Some(live.attach_time()));
    followed.and(closed.map(drop))
}

/// Whether the kernel side need not report each transition. What a command leaves half closed is seen from
/// its transitions, and it is followed to its end.
fn takes_summaries(args: &TraceArgs) -> bool {
    let needed = args.show.fail_on.iter().any(|kind| kind.needs_transitions());
    args.show.connections && args.command.is_empty() && !needed
}

fn session(args: &TraceArgs, filter: Filter, own: u32, asked: LiveHost, files: Files) -> Session {
    let pids = if filter.descendants { vec![own] } else { filter.pids };
    let selection = Selection {
        filter: Filter::default(),
        view: show::view(&args.show),
        kinds: args.show.only.clone(),
        lines: args.count,
    };
    let look = show::look(&args.show);
    let (render, out) = match files.output {
        Some(file) => (look.in_file(), Box::new(file) as Box<dyn Write>),
        None => (look.on_stdout(), output::unbuffered()),
    };
    let session = Session::new(Scope::All, render, out);
    let session = if args.quiet { session.unseen() } else { session };
    session
        .recording(files.recording)
        .about(Filter { pids, ..filter })
        .selecting(selection)
        .detecting(detect::Options { summaries: takes_summaries(args), ..show::options(&args.show) })
        .asking(Box::new(asked))
}

/// What a shell's exit status says of a command that does not run.
fn not_run(error: CommandError) -> Failure {
    let code = match error {
        CommandError::NotFound(_) => 127,
        CommandError::NotExecutable { .. } => 126,
    };
    Failure { exit: Exit::Command(code), message: error.to_string() }
}

/// The files that were asked for.
struct Files {
    output: Option<NamedFile>,
    recording: Option<Writer<Box<dyn Write>>>,
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
                    "--record and {other} are the same file: each needs one of its own"
                )));
            }
        }
        let writer = |file| Writer::new(output::buffered(file));
        Ok(Self { output, recording: record.map(writer).transpose().map_err(Failure::unexpected)? })
    }
}
