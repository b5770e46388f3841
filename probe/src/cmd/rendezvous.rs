//! `probe rendezvous`: this end of a simultaneous open between two hosts.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{
    exit::{Exit, Failure},
    live, outcome,
    output::{self, Look},
};
use crate::{
    cli::{Common, RendezvousArgs},
    model::Family,
    os::clock::Discipline,
    scenario::{
        Netns, Options,
        rendezvous::{BindError, Plan, Rendezvous, clock, friendly, port},
    },
    session::{Performance, Performed, Scope, Session, SessionError},
    source::live::Live,
};

/// Meets the other end at the agreed time, or says why not.
pub async fn rendezvous(args: &RendezvousArgs, common: &Common) -> Result<Exit, Failure> {
    let plan = plan(args)?;
    // What speaks against the port had better be known now than at the agreed time.
    port::bind(plan.local).map_err(refused)?;
    let mut live = live::attach(&live::options(common))?;
    let mut session =
        Session::new(Scope::own(live.pid()), Look::whole(args.format).on_stdout(), output::unbuffered());
    let met = live::unless_interrupted(async {
        let met = meet(plan, &mut session, &mut live).await;
        outcome(met, |performed| Exit::of(&[performed.verdict]))
    });
    let exit = met.await?;
    outcome(session.finish(Some(live.attach_time())), |_| exit)
}

/// Says how the clock is kept, since everything hangs on that, and meets the other end.
async fn meet(plan: Plan, session: &mut Session, live: &mut Live) -> Result<Performed, SessionError> {
    session.ready(live).await?;
    for line in clock::report(&Discipline::read(), plan.window) {
        session.note(line)?;
    }
    let family = if plan.local.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
    let options = Options { family, netns: Netns::Host, ..Options::default() };
    session.perform(live, Performance { scenario: Arc::new(Rendezvous::new(plan)), options }).await
}

/// What the flags come to.
fn plan(args: &RendezvousArgs) -> Result<Plan, Failure> {
    let plan = Plan {
        local: args.local,
        peer: args.peer,
        at: moment(args, Timestamp::now())?,
        window: args.window,
        payload: args.payload.clone(),
    };
    plan.check().map_err(Failure::usage)?;
    Ok(plan)
}

/// The agreed time. One that is past is a mistake of somebody's, or of a clock's.
fn moment(args: &RendezvousArgs, now: Timestamp) -> Result<Timestamp, Failure> {
    let Some(at) = args.at else {
        let span = SignedDuration::try_from(args.r#in.unwrap_or_default()).map_err(Failure::usage)?;
        return now.checked_add(span).map_err(|error| Failure::usage(format!("--in: {error}")));
    };
    match now.duration_since(at).try_into() {
        Ok(late) if now > at => Err(Failure::usage(format!(
            "--at {at} is past by {}, for this host's clock reads {now:.3}: agree on a time to come, or set the clock",
            friendly(late)
        ))),
        _ => Ok(at),
    }
}

/// A wrong address was typed; a port that is taken is the host's affair.
fn refused(error: BindError) -> Failure {
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
        let ends = ["probe", "rendezvous", "--local", "10.13.14.1:1314", "--peer", "10.13.14.2:1314"];
        match Cli::try_parse_from(ends.iter().chain(when)).unwrap().command {
            Command::Rendezvous(args) => args,
            _ => unreachable!("it was asked for"),
        }
    }

    #[test]
    fn the_time_is_what_was_agreed_on() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let at = moment(&args(&["--at", "2026-11-22T13:00:00.5+01:00"]), now).unwrap();
        assert_eq!(at.to_string(), "2026-11-22T12:00:00.5Z");
        assert_eq!(moment(&args(&["--in", "1m 30s"]), now).unwrap(), now + Duration::from_secs(90));
        let failure = moment(&args(&["--in", "9000000000000s"]), now).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
    }

    #[test]
    fn a_time_that_is_past_is_refused() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let failure = moment(&args(&["--at", "2026-11-22T11:58:30Z"]), now).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.message.contains("past by 1m 30s"), "{}", failure.message);
    }
}
