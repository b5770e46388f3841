//! A namespace to play in, and two with a wire between them.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use crate::{
    audit::need::{self, Need},
    model::{Family, Flags, Origin, Packet, Segment, Side},
    net::{
        Namespace, Tcp,
        counters::{self, Counters},
        sysctl::{Sysctl, Value},
    },
    scenario::{Step, StepError},
    wire::Wire,
};

/// A namespace with an address in it.
#[derive(Clone, Debug)]
pub struct TestHost {
    /// The namespace.
    pub namespace: Namespace,
    pub(super) addr: IpAddr,
    needs: &'static [Need],
}

impl TestHost {
    pub(super) fn new(namespace: Namespace, addr: IpAddr, needs: &'static [Need]) -> Self {
        Self { namespace, addr, needs }
    }

    /// A port here.
    #[must_use]
    pub fn port(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.addr, port)
    }

    /// Sets a sysctl here.
    ///
    /// # Errors
    /// The host does not let it be set, or the entry does not name it among its needs.
    pub fn set<T: Value + Sync>(&self, sysctl: Sysctl<T>, value: &T) -> Result<(), StepError> {
        need::named(self.needs, Need::Sysctl(sysctl.name()))?;
        Ok(self.namespace.enter(|| sysctl.write(value))??)
    }

    /// What the kernel has counted here so far.
    ///
    /// # Errors
    /// /proc does not say.
    pub fn counters(&self) -> Result<Counters, StepError> {
        self.namespace.enter(counters::read)?.step("reading the kernel's counters")
    }

    /// A socket that joins nothing, and so must stay in CLOSE: for what bind(2) says.
    ///
    /// # Errors
    /// The namespace cannot be entered, or no descriptor is left.
    pub fn bystander(&self) -> Result<Tcp, StepError> {
        self.namespace.enter(|| Tcp::new(Family::Ipv4))?.step("opening a socket")
    }
}

/// Two places with a wire between them.
pub struct HostPair {
    /// Side A.
    pub a: TestHost,
    /// Side B.
    pub b: TestHost,
    /// The wire.
    pub wire: Arc<Wire>,
    deadline: Instant,
}

impl HostPair {
    pub(super) fn new(a: TestHost, b: TestHost, wire: Arc<Wire>, deadline: Instant) -> Self {
        Self { a, b, wire, deadline }
    }

    /// Waits for a segment that this side has sent, and returns the first that fits.
    ///
    /// # Errors
    /// None came.
    pub fn shows(&self, side: Side, fits: impl Fn(&Segment) -> bool) -> Result<Segment, StepError> {
        Ok(self.shows_times(side, 1, fits)?.segment.expect("what fits is a segment"))
    }

    /// Waits for such a segment from each side.
    ///
    /// # Errors
    /// None came from one of them.
    pub fn both_show(&self, fits: impl Fn(&Segment) -> bool) -> Result<(), StepError> {
        Side::BOTH.into_iter().try_for_each(|side| self.shows(side, &fits).map(drop))
    }

    /// Waits until this side's kernel has sent so many segments that fit, and returns the packet of the last one.
    ///
    /// # Errors
    /// They did not come.
    pub fn shows_times(
        &self,
        side: Side,
        times: usize,
        fits: impl Fn(&Segment) -> bool,
    ) -> Result<Packet, StepError> {
        let fits = |packet: &&Packet| {
            (packet.from, packet.origin) == (side, Origin::Sent) && packet.segment.is_some_and(|s| fits(&s))
        };
        let packets = self
            .wire
            .wait_for(self.deadline, |packets| packets.iter().filter(fits).count() >= times)
            .step(format!("waiting for what {side} sends"))?;
        let found = packets.iter().filter(fits).nth(times - 1);
        Ok(found.expect("it has been seen").clone())
    }

    /// What this side's kernel has sent to open, to end and to carry data: each segment once, however often it was
    /// sent again; `nothing` where it has not. Bare ACKs are left out, whose number depends on the moment.
    #[must_use]
    pub fn carried(&self, side: Side) -> String {
        let mut seen = Vec::new();
        let mut words = Vec::new();
        for packet in self.wire.packets() {
            let Some(segment) = packet.segment else { continue };
            let key = (segment.ends(), segment.flags, segment.seq, segment.payload);
            let sent = (packet.from, packet.origin) == (side, Origin::Sent);
            if !sent || segment.is_bare_ack() || seen.contains(&key) {
                continue;
            }
            seen.push(key);
            words.push(word(&segment));
        }
        if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
    }
}

/// `SYN+ACK`, `SYN with data`, `data`: what matters of a segment that is no bare ACK.
fn word(segment: &Segment) -> String {
    let moving = [Flags::SYN, Flags::FIN, Flags::RST].into_iter().any(|flag| segment.flags.contains(flag));
    match (moving, segment.has_data()) {
        (false, _) => "data".to_owned(),
        (true, false) => segment.flags.to_string(),
        (true, true) => format!("{} with data", segment.flags),
    }
}
