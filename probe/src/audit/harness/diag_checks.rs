//! What no descriptor shows and no transition tells of: requests, children that nobody has accepted, mini-sockets,
//! counters that are still to rise. The kernel announces none of it, so it is looked at again and again.

use std::{thread, time::Duration, time::Instant};

use super::{Harness, HostPair, Part, TestHost, TestSocket};
use crate::{
    model::{Errno, Family, Origin, Segment, Side, State},
    net::{
        counters::Counters,
        destroy::destroy,
        link::Device,
        sock_diag::{DiagSocket, tcp_sockets},
    },
    scenario::{Actor, Step, StepError},
};

/// How long until the next look.
const PAUSE: Duration = Duration::from_millis(2);

impl TestHost {
    fn sockets(&self) -> Result<Vec<DiagSocket>, StepError> {
        // Only a kernel that was built without sock_diag does not list them.
        let listed = self.namespace.enter(tcp_sockets)?;
        listed.map_err(|error| StepError::Unsupported(error.to_string()))
    }

    /// How many requests there are: SYNs that were answered, of which the third ACK has not come.
    ///
    /// # Errors
    /// The kernel does not list its sockets.
    pub fn requests(&self) -> Result<usize, StepError> {
        Ok(self.sockets()?.iter().filter(|socket| socket.state == State::SynRecv).count())
    }

    /// Takes the loopback device down, or brings it up again.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn loopback(&self, up: bool) -> Result<(), StepError> {
        self.namespace
            .enter(|| {
                let device = Device::named("lo")?;
                if up { device.up() } else { device.down() }
            })?
            .step("turning the loopback device")
    }
}

impl HostPair {
    /// How many segments that fit this side's kernel has sent.
    #[must_use]
    pub fn count(&self, side: Side, fits: impl Fn(&Segment) -> bool) -> usize {
        let packets = self.wire.packets();
        let sent = packets.iter().filter(|packet| (packet.from, packet.origin) == (side, Origin::Sent));
        sent.filter(|packet| packet.segment.is_some_and(|segment| fits(&segment))).count()
    }
}

impl Harness {
    /// Looks until it is so; `false` at the deadline.
    ///
    /// # Errors
    /// Looking is not possible.
    pub fn eventually(&self, mut look: impl FnMut() -> Result<bool, StepError>) -> Result<bool, StepError> {
        loop {
            if look()? {
                return Ok(true);
            }
            if Instant::now() >= self.deadline {
                return Ok(false);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Waits until a counter has risen since, and states whether it has. How far it rises may depend on how often the
    /// machine's load lets a segment be sent again.
    ///
    /// # Errors
    /// /proc does not say.
    pub fn until_risen(
        &mut self,
        place: &TestHost,
        before: &Counters,
        name: &'static str,
    ) -> Result<(), StepError> {
        let mut counted = true;
        let risen = self.eventually(|| {
            let rise = place.counters()?.since(before, name);
            counted = rise.is_some();
            Ok(rise != Some(0))
        })?;
        self.state(
            name,
            if !counted {
                "not counted"
            } else if risen {
                "rises"
            } else {
                "stays"
            },
        );
        Ok(())
    }

    /// Gives the child that is to be accepted for this client a label.
    ///
    /// # Errors
    /// There is none by the deadline, or the kernel does not list its sockets.
    pub fn meet(
        &mut self,
        place: &TestHost,
        label: &'static str,
        client: &TestSocket,
    ) -> Result<Part, StepError> {
        let remote = client.tcp.local().step(format!("{}: asking for its port", client.label))?;
        let mut found = None;
        self.eventually(|| {
            let sockets = place.sockets()?;
            found = sockets
                .into_iter()
                .find(|socket| socket.state == State::Established && socket.ends.remote == remote.into());
            Ok(found.is_some())
        })?;
        let Some(DiagSocket { cookie, ends, .. }) = found else {
            return Err(StepError::Failed {
                step: format!("waiting for {label}"),
                cause: "the kernel has not listed it in all that time".to_owned(),
            });
        };
        let actor = self.cast.len();
        let netns = place.namespace.inode();
        self.cast.push(Actor { label: label.to_owned(), cookie, netns, ends });
        Ok(Part { label, actor })
    }

    /// HostPair a socket from outside, as `ss -K` does.
    ///
    /// # Errors
    /// This kernel cannot, or there is no such socket.
    pub fn destroy(&self, place: &TestHost, player: &TestSocket) -> Result<(), StepError> {
        let mut ends = self.cast[player.actor].ends;
        ends.local = player.tcp.local().step(format!("{}: asking for its port", player.label))?.into();
        let destroyed = place.namespace.enter(|| destroy(Family::Ipv4, ends))?;
        destroyed.map_err(|error| match Errno::of(&error) {
            Some(Errno::EOPNOTSUPP) => {
                StepError::Unsupported("this kernel was built without CONFIG_INET_DIAG_DESTROY".to_owned())
            }
            _ => StepError::Failed {
                step: format!("{}: destroying it", player.label),
                cause: error.to_string(),
            },
        })
    }

    /// States the state that TCP_INFO gives now, under the socket's label.
    pub fn state_of(&mut self, player: &TestSocket) {
        match player.tcp.state() {
            Ok(state) => self.state(player.label, state),
            Err(error) => self.state(player.label, error),
        }
    }

    /// States what has stayed of the connection: `TIME_WAIT`, `FIN_WAIT2` where its mini-socket waits for the peer's
    /// FIN, or `nothing`.
    ///
    /// # Errors
    /// The kernel does not list its sockets.
    pub fn state_remains(&mut self, place: &TestHost, part: impl Into<Part>) -> Result<(), StepError> {
        let part = part.into();
        let remains = self.remains(place, part)?;
        self.state(format!("remains of {}", part.label), remains.map_or("nothing", State::name));
        Ok(())
    }

    /// What has stayed of the connection.
    ///
    /// # Errors
    /// The kernel does not list its sockets.
    pub fn remains(&self, place: &TestHost, part: impl Into<Part>) -> Result<Option<State>, StepError> {
        Ok(self.mini_socket(place, part.into())?.map(|(state, _)| state))
    }

    /// States for how long what has stayed of the connection will go on to, to ten seconds: the rest is how long the
    /// steps took.
    ///
    /// # Errors
    /// The kernel does not list its sockets.
    pub fn state_rest(&mut self, place: &TestHost, part: impl Into<Part>) -> Result<(), StepError> {
        let rest = self.mini_socket(place, part.into())?.map_or(Duration::ZERO, |(_, expires)| expires);
        self.state("for", format!("{} s", (rest.as_secs() + 5) / 10 * 10));
        Ok(())
    }

    fn mini_socket(&self, place: &TestHost, part: Part) -> Result<Option<(State, Duration)>, StepError> {
        let cookie = self.cast[part.actor].cookie;
        let of_it =
            |socket: DiagSocket| Some((socket.state, socket.expires?)).filter(|_| socket.cookie == cookie);
        Ok(place.sockets()?.into_iter().find_map(of_it))
    }
}
