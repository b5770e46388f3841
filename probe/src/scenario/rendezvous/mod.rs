//! `rendezvous`: this end of a simultaneous open with another host, at a time that both have agreed on.
//!
//! Nobody listens. Both ends bind to a port that the other knows, wait for the moment, and connect to
//! each other; where the SYNs cross, that is a connection (RFC 9293 §3.5). An end that is too early is
//! refused, and tries again from the same port for a while.
//!
//! - [`plan`]: what was agreed on, and what is wrong with it
//! - [`port`]: binding to the agreed port
//! - [`clock`]: how far this host's clock can be trusted, which is what it stands and falls with
//! - `tries`: connecting until it is a connection or the window is over
//! - `exchange`: the payloads

pub mod clock;
mod exchange;
pub mod plan;
pub mod port;
mod tries;

use std::time::Duration;

use jiff::SignedDuration;

use self::tries::Tries;
pub use self::{plan::Plan, port::BindError};
use super::{Scenario, Stage, StepError};
use crate::{
    model::Errno,
    net::{Namespace, SocketError},
    os::clock::wait_until,
};

/// This end of an agreed simultaneous open, in the network namespace that the process was started in.
pub struct Rendezvous {
    plan: Plan,
    summary: String,
}

impl Rendezvous {
    /// As agreed.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let Plan { local, peer, at, window, .. } = &plan;
        let again = if window.is_zero() {
            "once".to_owned()
        } else {
            format!("and tries again for {} while refused", friendly(*window))
        };
        let summary = format!("{local} connects to {peer} at {at}, {again}");
        Self { plan, summary }
    }
}

impl Scenario for Rendezvous {
    fn name(&self) -> &'static str {
        "rendezvous"
    }

    fn summary(&self) -> &str {
        &self.summary
    }

    fn drive(&self, stage: &mut Stage) -> Result<(), StepError> {
        stage.crossing_is_allowed()?;
        let namespace = Namespace::host()?;
        // Bound while it waits, so that the port is still there at the moment.
        let first = port::bind(self.plan.local)?;
        let late = wait_until(self.plan.at.as_nanosecond());
        let tries = Tries::make(&self.plan, first, late, &namespace, stage)?;

        stage.story().note(tries.account());
        tries.expect_refused(stage);
        stage.returns("connects", Ok(()), &tries.outcome);
        stage.opens("what this kernel saw", tries.last);
        match &tries.outcome {
            Ok(()) => exchange::play(tries.socket, &self.plan.payload, stage),
            Err(error) => {
                if let Some(advice) = advice(error) {
                    stage.story().note(advice);
                }
            }
        }
        Ok(())
    }
}

/// What may be behind a connection that did not come about, and what to do.
fn advice(error: &SocketError) -> Option<&'static str> {
    match (error, error.errno()) {
        (SocketError::Deadline(_), _) => Some(
            "the SYNs were not answered, so a firewall or a NAT dropped them, or the peer's host is down: see that \
             both sides' packets get through, and that the port is the one that the peer's NAT shows",
        ),
        (_, Some(Errno::ECONNREFUSED | Errno::ECONNRESET)) => Some(
            "the peer's host is there, and nobody connected from that port meanwhile: compare both clocks and both \
             command lines, and agree on a longer --window",
        ),
        (_, Some(Errno::EADDRNOTAVAIL)) => Some(
            "a connection between these two ends is there already, or ended less than a minute ago (TIME_WAIT): \
             wait that long, or agree on another port",
        ),
        (_, Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH)) => Some(
            "no packet gets from here to the peer: see `ip route get` with its address, and whether its host is up",
        ),
        _ => None,
    }
}

/// A span of time as the command line takes it: to the microsecond, or to the second from a minute on.
#[must_use]
pub fn friendly(span: Duration) -> String {
    if span >= Duration::from_secs(60) {
        let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        return format!("{:#}", SignedDuration::from_secs(seconds));
    }
    let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    format!("{:#}", SignedDuration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_will_happen() {
        let plan = Plan {
            local: "10.13.14.1:1314".parse().unwrap(),
            peer: "10.13.14.2:1314".parse().unwrap(),
            at: "2026-11-22T12:00:00Z".parse().unwrap(),
            window: Duration::from_millis(2500),
            payload: "I love you.".to_owned(),
        };
        let again = "10.13.14.1:1314 connects to 10.13.14.2:1314 at 2026-11-22T12:00:00Z, and tries again for 2s 500ms \
                     while refused";
        assert_eq!(Rendezvous::new(plan.clone()).summary(), again);
        let once = Rendezvous::new(Plan { window: Duration::ZERO, ..plan });
        assert!(once.summary().ends_with("12:00:00Z, once"), "{}", once.summary());
    }

    #[test]
    fn a_span_has_the_precision_that_its_length_calls_for() {
        assert_eq!(friendly(Duration::from_micros(2_500_090)), "2s 500ms 90µs");
        let long = Duration::from_secs(60420 * 3600 + 52 * 60 + 30) + Duration::from_micros(416_076);
        assert_eq!(friendly(long), "60420h 52m 30s");
    }

    #[test]
    fn every_usual_failure_has_its_advice() {
        for errno in [Errno::ECONNREFUSED, Errno::EADDRNOTAVAIL, Errno::EHOSTUNREACH] {
            assert!(advice(&SocketError::Errno(errno)).is_some(), "{errno}");
        }
        assert!(advice(&SocketError::Deadline("the end of connect")).is_some());
    }
}
