//! `self-connect`: one socket at both ends of its connection.
//!
//! - `bound`: on purpose, from a bound port
//! - `accident`: how it happens to clients that retry, what it costs the server, and the remedy

mod accident;
mod bound;

use std::net::Shutdown;

use super::{Scenario, Stage, Step, StepError};
use crate::net::Tcp;

/// The port that the socket connects from and to.
const PORT: u16 = 1314;

/// One socket connects to itself.
pub struct SelfConnect;

impl Scenario for SelfConnect {
    fn name(&self) -> &'static str {
        "self-connect"
    }

    fn summary(&self) -> &'static str {
        "a socket is connected to itself: on purpose, by accident, and no more once the port is reserved"
    }

    fn drive(&self, stage: &mut Stage) -> Result<(), StepError> {
        stage.crossing_is_allowed()?;
        bound::play(stage)?;
        accident::play(stage)
    }
}

/// Closes a socket that is its own peer: its FIN comes back to it, and it is in TIME_WAIT at once.
fn close(socket: Tcp, stage: &Stage) -> Result<(), StepError> {
    socket.shutdown(Shutdown::Write).step("closing a self-connected socket")?;
    socket.read_to_end(stage.deadline()).step("reading a socket's own FIN")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Family,
        scenario::{Options, testing::plays},
    };

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn the_calls_return_what_they_must() {
        for family in [Family::Ipv4, Family::Ipv6] {
            plays(&SelfConnect, &Options { family, ..Options::default() });
        }
    }
}
