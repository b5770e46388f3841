//! `probe rendezvous`: this host's side of a simultaneous open between two hosts.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{
    exit::{Exit, Failure},
    live, outcome,
    output::{self, Layout},
};
use crate::{
    cli::{Common, RendezvousArgs},
    model::Family,
    os::clock::Discipline,
    scenario::{
        Netns, Options,
        rendezvous::{BindError, Plan, Rendezvous, clock, format_duration, port},
    },
    session::{self, ScenarioResult, Scope, Session, SessionError},
    source::live::Live,
};

/// Connects to the peer at the agreed time.
pub async fn rendezvous(args: &RendezvousArgs, common: &Common) -> Result<Exit, Failure> {
    let plan = plan(args)?;
    // A port that cannot be bound is reported now rather than at the agreed time.
    port::bind(plan.local).map_err(bind_failure)?;
    let mut live = live::attach(&live::options(common))?;
    let mut session =
        Session::new(Scope::own(live.pid()), Layout::all(args.format).for_stdout(), output::unbuffered());
    let run = live::unless_interrupted(async {
        let result = connect(plan, &mut session, &mut live).await;
        outcome(result, |result| Exit::of(&[result.verdict]))
    });
    let exit = run.await?;
    outcome(session.finish(Some(live.attach_time())), |_| exit)
}

/// Reports how well the clock is synchronised, on which a simultaneous open depends, and runs the scenario.
async fn connect(plan: Plan, session: &mut Session, live: &mut Live) -> Result<ScenarioResult, SessionError> {
    session.ready(live).await?;
    for line in clock::report(&Discipline::read(), plan.window) {
        session.note(line)?;
    }
    let family = if plan.local.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
    let options = Options { family, netns: Netns::Host, ..Options::default() };
    session::run_scenario(session, live, Arc::new(Rendezvous::new(plan)), options).await
}

/// Makes the plan from the flags.
fn plan(args: &RendezvousArgs) -> Result<Plan, Failure> {
    let plan = Plan {
        local: args.local,
        peer: args.peer,
        at: start_time(args, Timestamp::now())?,
        window: args.window,
        payload: args.payload.clone(),
    };
    plan.check().map_err(Failure::usage)?;
    Ok(plan)
}

/// The agreed time. A time in the past is an error: of the user or of the clock.
fn start_time(args: &RendezvousArgs, now: Timestamp) -> Result<Timestamp, Failure> {
    let Some(at) = args.at else {
        let span = SignedDuration::try_from(args.r#in.unwrap_or_default()).map_err(Failure::usage)?;
        return now.checked_add(span).map_err(|error| Failure::usage(format!("--in: {error}")));
    };
    match now.duration_since(at).try_into() {
        Ok(late) if now > at => Err(Failure::usage(format!(
            "--at {at} was {} ago; this host's clock reads {now:.3}: choose a time in the future, or set the clock",
            format_duration(late)
        ))),
        _ => Ok(at),
    }
}

/// An address that this host does not have is a usage error; a port in use is the host's.
fn bind_failure(error: BindError) -> Failure {
    match error {
        BindError::NotHere(_) => Failure::usage(error),
        BindError::InUse { .. } | BindError::Other { .. } => Failure::host(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn args(when: &[&str]) -> RendezvousArgs {
        let command = ["probe", "rendezvous", "--local", "10.13.14.1:1314", "--peer", "10.13.14.2:1314"];
        match Cli::try_parse_from(command.iter().chain(when)).unwrap().command {
            Command::Rendezvous(args) => args,
            _ => unreachable!("the command is rendezvous"),
        }
    }

    #[test]
    fn the_start_time_is_at_or_now_plus_in() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let at = start_time(&args(&["--at", "2026-11-22T13:00:00.5+01:00"]), now).unwrap();
        assert_eq!(at.to_string(), "2026-11-22T12:00:00.5Z");
        assert_eq!(start_time(&args(&["--in", "1m 30s"]), now).unwrap(), now + Duration::from_secs(90));
        let failure = start_time(&args(&["--in", "9000000000000s"]), now).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
    }

    #[test]
    fn a_time_in_the_past_is_a_usage_error() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let failure = start_time(&args(&["--at", "2026-11-22T11:58:30Z"]), now).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.message.contains("was 1m 30s ago"), "{}", failure.message);
    }
}
