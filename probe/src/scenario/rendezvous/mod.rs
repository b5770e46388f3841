//! `rendezvous`: a simultaneous open with another host, at a time that both have agreed on.
//!
//! No socket listens. Both hosts bind to a port that the other knows, wait for the agreed time and connect to each
//! other. If the SYNs cross, a connection opens (RFC 9293 §3.5). The host whose SYN arrives too early is
//! refused, and connects again from the same port until the window is over.
//!
//! - [`plan`]: what the hosts have agreed on, and its checks
//! - [`port`]: binding to the agreed port
//! - [`clock`]: how accurate this host's clock is, which decides whether the hosts meet
//! - `attempts`: connecting until it succeeds or the window is over
//! - `exchange`: the payloads
//! - `duration`: durations in messages

mod attempts;
pub mod clock;
mod duration;
mod exchange;
pub mod plan;
pub mod port;

use self::attempts::Attempts;
pub use self::{duration::format_duration, plan::Plan, port::BindError};
use super::{Context, Scenario, StepError, simultaneous_open_allowed};
use crate::{
    model::Errno,
    net::{Namespace, SocketError},
    os::clock::wait_until,
};

/// This host's side of an agreed simultaneous open, in the network namespace that the process was started in.
pub struct Rendezvous {
    plan: Plan,
    summary: String,
}

impl Rendezvous {
    /// A rendezvous according to `plan`.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let Plan { local, peer, at, window, .. } = &plan;
        let attempts = if window.is_zero() {
            "once".to_owned()
        } else {
            format!("and again for {} while it is refused", format_duration(*window))
        };
        let summary = format!("{local} connects to {peer} at {at}, {attempts}");
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

    fn drive(&self, context: &mut Context) -> Result<(), StepError> {
        simultaneous_open_allowed()?;
        let namespace = Namespace::host()?;
        // Bind before waiting, so that the port is still free at the agreed time.
        let socket = port::bind(self.plan.local)?;
        let late = wait_until(self.plan.at.as_nanosecond());
        let attempts = Attempts::make(&self.plan, socket, late, &namespace, context)?;

        context.note(attempts.summary());
        attempts.expect_refused(context);
        context.expect_result("connects", Ok(()), &attempts.outcome);
        context.expect_connected("as this kernel saw it", attempts.last);
        match &attempts.outcome {
            Ok(()) => exchange::run(attempts.socket, &self.plan.payload, context),
            Err(error) => {
                if let Some(advice) = advice(error) {
                    context.note(advice);
                }
            }
        }
        Ok(())
    }
}

/// The likely reason why the hosts did not connect, and the remedy.
fn advice(error: &SocketError) -> Option<&'static str> {
    match (error, error.errno()) {
        (SocketError::Deadline(_), _) => Some(
            "the peer did not answer: a firewall or a NAT dropped the SYNs, or the peer's host is down; allow the \
             packets in both directions, and use the port that the peer's NAT shows",
        ),
        (_, Some(Errno::ECONNREFUSED | Errno::ECONNRESET)) => Some(
            "the peer's host answered with an RST, but did not connect from that port in time: compare both clocks and \
             both command lines, and agree on a longer --window",
        ),
        (_, Some(Errno::EADDRNOTAVAIL)) => Some(
            "a connection with the same 4-tuple exists, or was closed less than a minute ago (TIME_WAIT): wait a \
             minute, or agree on another port",
        ),
        (_, Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH)) => Some(
            "the peer is unreachable from this host: check the route with `ip route get ADDRESS`, and whether the \
             peer's host is up",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_summary_has_endpoints_time_and_window() {
        let plan = Plan {
            local: "10.13.14.1:1314".parse().unwrap(),
            peer: "10.13.14.2:1314".parse().unwrap(),
            at: "2026-11-22T12:00:00Z".parse().unwrap(),
            window: Duration::from_millis(2500),
            payload: "I love you.".to_owned(),
        };
        let repeated = "10.13.14.1:1314 connects to 10.13.14.2:1314 at 2026-11-22T12:00:00Z, and again for 2s 500ms \
                        while it is refused";
        assert_eq!(Rendezvous::new(plan.clone()).summary(), repeated);
        let once = Rendezvous::new(Plan { window: Duration::ZERO, ..plan });
        assert!(once.summary().ends_with("12:00:00Z, once"), "{}", once.summary());
    }

    #[test]
    fn every_usual_failure_has_its_advice() {
        for errno in [Errno::ECONNREFUSED, Errno::EADDRNOTAVAIL, Errno::EHOSTUNREACH] {
            assert!(advice(&SocketError::Errno(errno)).is_some(), "{errno}");
        }
        assert!(advice(&SocketError::Deadline("the end of connect")).is_some());
    }
}
