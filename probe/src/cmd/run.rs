//! `probe run`: the scenarios, held against the kernel's own report.

use std::{
    io::{BufWriter, Write},
    sync::Arc,
};

use super::{
    exit::{Exit, Failure},
    live, outcome,
    output::{self, Look, NamedFile},
    pcap::Pcap,
};
use crate::{
    cli::{Common, NetnsChoice, RunArgs, WireChoice},
    model::Family,
    record::Writer,
    scenario::{self, Netns, Options, Scenario, WireKind},
    session::{ScenarioRun, Scope, Session, SessionError},
    source::live::Live,
};

/// Runs what was asked for, as often as was asked for.
pub async fn run(args: &RunArgs, common: &Common) -> Result<Exit, Failure> {
    let scenarios = chosen(&args.scenarios)?;
    if args.list {
        return list(&scenarios);
    }
    let files = Files::create(args, &scenarios)?;
    let mut live = live::attach(&live::options(common))?;
    let mut session =
        Session::new(Scope::own(live.pid()), Look::whole(args.format).on_stdout(), output::unbuffered())
            .recording(files.recording);
    let mut run = Run { scenarios, options: options(args), repeat: args.repeat, pcap: files.pcap };
    let played = live::unless_interrupted(run.play(&mut session, &mut live)).await;
    // Whatever became of it, the stream is closed.
    let closed = outcome(session.finish(Some(live.attach_time())), |_| Exit::Expected);
    played.and_then(|exit| closed.map(|_| exit))
}

/// What is to be run.
struct Run {
    scenarios: Vec<Arc<dyn Scenario>>,
    options: Options,
    repeat: u32,
    pcap: Option<Pcap>,
}

impl Run {
    async fn play(&mut self, session: &mut Session, live: &mut Live) -> Result<Exit, Failure> {
        for _ in 0..self.repeat {
            for scenario in &self.scenarios {
                let run = ScenarioRun { scenario: Arc::clone(scenario), options: self.options.clone() };
                match session.run_scenario(live, run).await {
                    Ok(result) => self.pcap.iter_mut().try_for_each(|pcap| pcap.add(&result))?,
                    Err(error) => return outcome(Err::<(), _>(error), |()| Exit::Expected),
                }
            }
        }
        Ok(Exit::of(session.verdicts()))
    }
}

/// The scenarios of those names; all of them where none is named.
fn chosen(names: &[String]) -> Result<Vec<Arc<dyn Scenario>>, Failure> {
    if names.is_empty() {
        return Ok(scenario::all().to_vec());
    }
    let known = || scenario::all().map(|scenario| scenario.name()).join(", ");
    let find = |name: &String| {
        scenario::by_name(name)
            .ok_or_else(|| Failure::usage(format!("there is no scenario `{name}`; there are {}", known())))
    };
    names.iter().map(find).collect()
}

/// Names the scenarios and what each shows.
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
        sabotage: args.sabotage,
    }
}

/// The files that were asked for.
struct Files {
    recording: Option<Writer<Box<dyn Write>>>,
    pcap: Option<Pcap>,
}

impl Files {
    fn create(args: &RunArgs, scenarios: &[Arc<dyn Scenario>]) -> Result<Self, Failure> {
        let wired = |scenario: &Arc<dyn Scenario>| scenario.name() == "simultaneous-open";
        if args.pcap.is_some() && (args.wire != WireChoice::Tun || !scenarios.iter().any(wired)) {
            return Err(Failure::usage(
                "--pcap writes what crosses the emulated link, which only simultaneous-open with --wire tun uses",
            ));
        }
        let record = args.record.as_deref().map(NamedFile::create).transpose()?;
        let pcap = args.pcap.as_deref().map(NamedFile::create).transpose()?;
        if let (Some(record), Some(pcap)) = (&record, &pcap)
            && record.is_same(pcap)
        {
            return Err(Failure::usage("--record and --pcap name the same file: each needs one of its own"));
        }
        let writer = |file| Writer::new(Box::new(BufWriter::new(file)) as Box<dyn Write>);
        Ok(Self {
            recording: record.map(writer).transpose().map_err(Failure::unexpected)?,
            pcap: pcap.map(Pcap::new).transpose()?,
        })
    }
}
