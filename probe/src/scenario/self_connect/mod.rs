//! `self-connect`: a socket that is connected to itself.
//!
//! - `bound`: a socket connects to the port that it is bound to
//! - `autobind`: the kernel chooses the destination port for a client that retries; what it costs the server, and the
//!   remedy

mod autobind;
mod bound;

use super::{Context, Scenario, StepError, simultaneous_open_allowed};

/// A socket connects to itself.
pub struct SelfConnect;

impl Scenario for SelfConnect {
    fn name(&self) -> &'static str {
        "self-connect"
    }

    fn summary(&self) -> &'static str {
        "a socket connects to itself: from a bound port, and by accident as a client that retries a server"
    }

    fn drive(&self, context: &mut Context) -> Result<(), StepError> {
        simultaneous_open_allowed()?;
        bound::run(context)?;
        autobind::run(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Family,
        scenario::{Options, testing::run_successfully},
    };

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn every_call_returns_what_is_expected() {
        for family in [Family::Ipv4, Family::Ipv6] {
            run_successfully(&SelfConnect, &Options { family, ..Options::default() });
        }
    }
}
