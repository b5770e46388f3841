//! `simultaneous-open`: two sockets connect to each other without a listener, and their SYNs cross (RFC 9293 §3.5).
//!
//! - `crossing`: the SYNs cross on a wire with a delay
//! - `refused`: one SYN arrives before the other socket exists, one after it was refused
//! - `asymmetric`: one side sees a simultaneous open, the other an active open
//! - `loopback`: without a wire, by a `race` between two threads
//! - `peer`: one of the two sockets

mod asymmetric;
mod crossing;
mod loopback;
mod peer;
mod race;
mod refused;

use super::{Context, Netns, Scenario, StepError, WireKind, simultaneous_open_allowed};

/// Two sockets connect to each other at the same time.
pub struct SimultaneousOpen;

impl Scenario for SimultaneousOpen {
    fn name(&self) -> &'static str {
        "simultaneous-open"
    }

    fn summary(&self) -> &'static str {
        "two sockets connect to each other at the same time, without a listener"
    }

    fn drive(&self, context: &mut Context) -> Result<(), StepError> {
        simultaneous_open_allowed()?;
        if context.options().wire == WireKind::Loopback {
            return loopback::run(context);
        }
        if context.options().netns == Netns::Host {
            context.note("--netns host does not apply here: a wire always connects two private namespaces");
        }
        crossing::run(context)?;
        refused::run(context)?;
        asymmetric::run(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Family,
        scenario::{Options, run, testing::run_successfully},
    };

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn every_call_returns_what_is_expected() {
        for family in [Family::Ipv4, Family::Ipv6] {
            let run = run_successfully(&SimultaneousOpen, &Options { family, ..Options::default() });
            assert_eq!(run.captures().len(), 3);
        }
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn the_syns_cross_on_loopback_or_the_run_is_unsupported() {
        let options = Options { wire: WireKind::Loopback, ..Options::default() };
        let run = run(&SimultaneousOpen, &options);
        // On one CPU, or on a busy machine, the SYNs may never cross.
        if let Some(error) = run.error() {
            assert!(matches!(error, StepError::Unsupported(_)), "{error}");
            return;
        }
        assert!(run.notes()[0].starts_with("the SYNs crossed"), "{:?}", run.notes());
        assert!(run.outcome_checks().iter().all(|check| check.pass), "{:?}", run.outcome_checks());
    }
}
