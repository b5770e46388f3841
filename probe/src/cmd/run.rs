//! `probe run`: runs scenarios and checks the transitions that the kernel reports.

use std::{
    io::{BufWriter, Write},
    sync::Arc,
};

use super::{
    exit::{Exit, Failure},
    live, outcome,
    output::{self, Layout, NamedFile},
    pcap::Pcap,
};
use crate::{
    cli::{Common, NetnsChoice, RunArgs, WireChoice},
    model::Family,
    record::Writer,
    scenario::{self, Netns, Options, Scenario, WireKind},
    session::{self, Scope, Session, SessionError},
    source::live::Live,
};

/// Runs the selected scenarios `--repeat` times.
pub async fn run(args: &RunArgs, common: &Common) -> Result<Exit, Failure> {
    let scenarios = selected(&args.scenarios)?;
    if args.list {
        return list(&scenarios);
    }
    let files = Files::create(args, &scenarios)?;
    let mut live = live::attach(&live::options(common))?;
    let writer = |file| Writer::new(Box::new(BufWriter::new(file)) as Box<dyn Write>);
    let recording = files.record.map(writer).transpose().map_err(Failure::unexpected)?;
    let pcap = files.pcap.map(Pcap::new).transpose()?;
    let mut session =
        Session::new(Scope::own(live.pid()), Layout::all(args.format).for_stdout(), output::unbuffered())
            .recording(recording);
    let mut run = Run { scenarios, options: options(args), repeat: args.repeat, pcap };
    let result = live::unless_interrupted(run.all(&mut session, &mut live)).await;
    // Even a failed or interrupted run closes the stream.
    let closed = outcome(session.finish(Some(live.attach_time())), |_| Exit::Expected);
    result.and_then(|exit| closed.map(|_| exit))
}

/// The scenarios to run, and how.
struct Run {
    scenarios: Vec<Arc<dyn Scenario>>,
    options: Options,
    repeat: u32,
    pcap: Option<Pcap>,
}

impl Run {
    async fn all(&mut self, session: &mut Session, live: &mut Live) -> Result<Exit, Failure> {
        for _ in 0..self.repeat {
            for scenario in &self.scenarios {
                let result = session::run_scenario(session, live, Arc::clone(scenario), self.options.clone());
                match result.await {
                    Ok(result) => self.pcap.iter_mut().try_for_each(|pcap| pcap.add(&result))?,
                    Err(error) => return outcome(Err::<(), _>(error), |()| Exit::Expected),
                }
            }
        }
        Ok(Exit::of(session.verdicts()))
    }
}

/// The scenarios with these names; all if none is given.
fn selected(names: &[String]) -> Result<Vec<Arc<dyn Scenario>>, Failure> {
    if names.is_empty() {
        return Ok(scenario::all().to_vec());
    }
    let known = || scenario::all().map(|scenario| scenario.name()).join(", ");
    let find = |name: &String| {
        scenario::by_name(name)
            .ok_or_else(|| Failure::usage(format!("unknown scenario `{name}`: expected one of {}", known())))
    };
    names.iter().map(find).collect()
}

/// Lists the scenarios with a description.
fn list(scenarios: &[Arc<dyn Scenario>]) -> Result<Exit, Failure> {
    let mut out = output::stdout();
    let written = scenarios
        .iter()
        .try_for_each(|scenario| writeln!(out, "{:<18} {}", scenario.name(), scenario.summary()))
        .and_then(|()| out.flush());
    outcome(written.map_err(SessionError::Output), |()| Exit::Expected)
}

fn options(args: &RunArgs) -> Options {
    Options {
        wire: match args.wire {
            WireChoice::Tun => WireKind::Tun,
            WireChoice::Loopback => WireKind::Loopback,
        },
        delay: args.delay,
        family: if args.ipv6 { Family::Ipv6 } else { Family::Ipv4 },
        netns: match args.netns {
            NetnsChoice::Private => Netns::Private,
            NetnsChoice::Host => Netns::Host,
        },
        inject_failure: args.sabotage,
    }
}

/// The files of --record and --pcap.
struct Files {
    record: Option<NamedFile>,
    pcap: Option<NamedFile>,
}

impl Files {
    fn create(args: &RunArgs, scenarios: &[Arc<dyn Scenario>]) -> Result<Self, Failure> {
        let uses_link = |scenario: &Arc<dyn Scenario>| scenario.name() == "simultaneous-open";
        if args.pcap.is_some() && (args.wire != WireChoice::Tun || !scenarios.iter().any(uses_link)) {
            return Err(Failure::usage(
                "--pcap captures the emulated link, which only simultaneous-open with --wire tun uses",
            ));
        }
        let record = args.record.as_deref().map(NamedFile::create).transpose()?;
        let pcap = args.pcap.as_deref().map(NamedFile::create).transpose()?;
        if let (Some(record), Some(pcap)) = (&record, &pcap)
            && record.is_same(pcap)
        {
            return Err(Failure::usage("--record and --pcap name the same file: give each its own"));
        }
        Ok(Self { record, pcap })
    }
}
