//! An emulated link between two network namespaces: a TUN device in each, and a forwarder between them in user
//! space that delays and captures every packet, and holds, drops or duplicates those that match a rule.
//!
//! It needs neither a second host nor netem. A simultaneous open, for example, is two connects while a rule holds
//! both SYNs:
//!
//! ```no_run
//! # use std::time::{Duration, Instant};
//! # use probe::{model::{Family, Fate, Segment, Side}, net::{Namespace, Tcp}, wire::{Link, Rule, Wire}};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (a, b) = (Namespace::private()?, Namespace::private()?);
//! let link = Link::new(Family::Ipv4).delay(Duration::from_millis(40));
//! let wire = Wire::between(&a, &b, link)?;
//! let [local, remote] = Side::BOTH.map(|side| link.endpoint(side, 1314));
//! let deadline = Instant::now() + Duration::from_secs(2);
//!
//! let syns = wire.add_rule(Rule::hold(Segment::is_syn));
//! let connect = |from, to| -> Result<_, probe::net::SocketError> {
//!     let socket = Tcp::bound(from)?;
//!     socket.begin_connect(to)?;
//!     Ok(socket)
//! };
//! let left = a.enter(|| connect(local, remote))??;
//! let right = b.enter(|| connect(remote, local))??;
//! wire.wait_for(deadline, |packets| packets.iter().filter(|packet| packet.fate == Fate::Held).count() == 2)?;
//! wire.remove_rule(syns);
//! left.outcome(deadline)?;
//! right.outcome(deadline)?;
//! # Ok(())
//! # }
//! ```
//!
//! - `rule`: the rules that a scenario adds
//! - `emulator`: the packets and their fate, without I/O
//! - `forwarder`: the thread that reads and writes the TUN devices
//! - `segment`: parsing and building packets

mod emulator;
mod forwarder;
mod rule;
mod segment;

use std::{
    fmt::Write as _,
    io::{self, PipeWriter, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    panic::resume_unwind,
    sync::{Arc, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use self::{emulator::Emulator, forwarder::Shared};
pub use self::{emulator::RuleId, rule::Rule};
use crate::{
    model::{Family, Packet, Segment, Side},
    net::{
        Namespace, NamespaceError,
        link::LinkError,
        tun::{Tun, TunError},
    },
    os::clock::now,
};

/// The transmit queue length of each device, in packets: how many a side may send while the forwarder thread is not
/// scheduled.
const QUEUE: u32 = 10_000;

/// How many packets an error message shows.
const SHOWN: usize = 12;

/// Why a wire could not be set up, or why a wait on it failed.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// A side's namespace could not be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A TUN device could not be created.
    #[error(transparent)]
    Tun(#[from] TunError),
    /// A side's device could not be configured.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The forwarder's thread or its pipe could not be created.
    #[error("starting the wire's thread: {0}")]
    Thread(io::Error),
    /// The deadline passed before the packets met the condition.
    #[error("the expected packets did not appear in time; the wire carried {0}")]
    Deadline(String),
    /// The forwarder failed: one of the devices was removed.
    #[error("the wire failed: {0}; do not remove or reconfigure its TUN devices while it is in use")]
    Broken(String),
}

/// The properties of a wire: its address family and delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    family: Family,
    delay: [Duration; 2],
}

impl Link {
    /// A link without delay, with addresses of this family: 10.13.14.1 and 10.13.14.2, or fd13:14::1 and
    /// fd13:14::2.
    #[must_use]
    pub fn new(family: Family) -> Self {
        Self { family, delay: [Duration::ZERO; 2] }
    }

    /// Sets the one-way delay of both directions.
    #[must_use]
    pub fn delay(self, each_way: Duration) -> Self {
        self.delay_from(Side::A, each_way).delay_from(Side::B, each_way)
    }

    /// Sets the one-way delay of packets that `side` sends.
    #[must_use]
    pub fn delay_from(mut self, side: Side, delay: Duration) -> Self {
        self.delay[side as usize] = delay;
        self
    }

    /// The address of a side.
    #[must_use]
    pub fn address(&self, side: Side) -> IpAddr {
        let host = side as u8 + 1;
        match self.family {
            Family::Ipv4 => Ipv4Addr::new(10, 13, 14, host).into(),
            Family::Ipv6 => Ipv6Addr::new(0xfd13, 0x14, 0, 0, 0, 0, 0, host.into()).into(),
        }
    }

    /// The address of a side with this port.
    #[must_use]
    pub fn endpoint(&self, side: Side, port: u16) -> SocketAddr {
        SocketAddr::new(self.address(side), port)
    }

    fn prefix(&self) -> u8 {
        match self.family {
            Family::Ipv4 => 24,
            Family::Ipv6 => 64,
        }
    }

    /// Creates and configures the device of a side in the calling thread's namespace.
    fn create_device(&self, side: Side) -> Result<Tun, WireError> {
        let tun = Tun::open("wire%d")?;
        let device = tun.device();
        device.queue_length(QUEUE)?;
        device.up()?;
        device.add_address(self.address(side), self.prefix())?;
        Ok(tun)
    }
}

/// A wire between two namespaces. Dropping it removes the devices; packets still in flight are lost.
///
/// Several threads may use it at once.
#[derive(Debug)]
pub struct Wire {
    shared: Arc<Shared>,
    /// `None` only during drop: closing it stops the forwarder.
    wake: Option<PipeWriter>,
    /// `None` only during drop.
    forwarder: Option<JoinHandle<()>>,
}

impl Wire {
    /// Connects `a` and `b`, which must be different namespaces. When this returns, each can reach the other.
    ///
    /// # Errors
    /// This host does not provide what a wire requires: privilege, TUN, IPv6.
    pub fn between(a: &Namespace, b: &Namespace, link: Link) -> Result<Self, WireError> {
        let tuns = [a.enter(|| link.create_device(Side::A))??, b.enter(|| link.create_device(Side::B))??];
        let (wake_receiver, wake) = io::pipe().map_err(WireError::Thread)?;
        let shared = Arc::new(Shared::new(Emulator::new(link.delay)));
        let forwarder_shared = Arc::clone(&shared);
        let forwarder = thread::Builder::new()
            .name("wire".to_owned())
            .spawn(move || forwarder::run(&tuns, wake_receiver, &forwarder_shared))
            .map_err(WireError::Thread)?;
        Ok(Self { shared, wake: Some(wake), forwarder: Some(forwarder) })
    }

    /// Adds a rule for every packet sent from now on.
    pub fn add_rule(&self, rule: Rule) -> RuleId {
        self.shared.emulator().add_rule(rule)
    }

    /// Removes a rule and releases the packets that it holds, in order: at once if their delay has passed.
    pub fn remove_rule(&self, rule: RuleId) {
        self.shared.change(|emulator| emulator.remove_rule(rule, now()));
        self.wake();
    }

    /// Injects a segment as if `from` had sent it, with valid checksums and without options. The link's delay
    /// applies to it, rules do not. Its length is that of `payload`; `segment.payload` is ignored.
    ///
    /// # Panics
    /// If the segment's addresses are of different families, or the payload does not fit into an IP packet.
    pub fn inject(&self, from: Side, segment: &Segment, payload: &[u8]) {
        let bytes = segment::build(segment, payload);
        self.shared.change(|emulator| emulator.inject(from, &bytes, now()));
        self.wake();
    }

    /// Answers a packet with an ICMP or ICMPv6 destination unreachable message with this code, as if the packet's
    /// destination had sent it.
    ///
    /// # Panics
    /// If no destination unreachable message of the packet's family has this code.
    pub fn inject_unreachable(&self, packet: &Packet, code: u8) {
        let bytes = segment::unreachable(&packet.bytes, code);
        self.shared.change(|emulator| emulator.inject(packet.from.peer(), &bytes, now()));
        self.wake();
    }

    /// Every packet so far, in the order in which they were sent. The wire neither carries nor lists multicast
    /// packets.
    #[must_use]
    pub fn packets(&self) -> Vec<Packet> {
        self.shared.emulator().packets().to_vec()
    }

    /// Waits until `condition` holds for the packets so far, and returns them. It is evaluated again whenever
    /// a packet is sent or its fate changes.
    ///
    /// # Errors
    /// The deadline passed (the error lists what the wire carried), or the wire failed.
    pub fn wait_for(
        &self,
        deadline: Instant,
        mut condition: impl FnMut(&[Packet]) -> bool,
    ) -> Result<Vec<Packet>, WireError> {
        let Shared { changed, failure, .. } = &*self.shared;
        let remaining = deadline.saturating_duration_since(Instant::now());
        let mut holds = false;
        let (emulator, _) = changed
            .wait_timeout_while(self.shared.emulator(), remaining, |emulator| {
                holds = condition(emulator.packets());
                !holds && failure.get().is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        match failure.get() {
            _ if holds => Ok(emulator.packets().to_vec()),
            Some(failure) => Err(WireError::Broken(failure.clone())),
            None => Err(WireError::Deadline(describe(emulator.packets()))),
        }
    }

    fn wake(&self) {
        if let Some(mut wake) = self.wake.as_ref() {
            // The write fails only after the forwarder has stopped; then no thread has to be woken.
            wake.write_all(&[0]).ok();
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.wake = None;
        let stopped = self.forwarder.take().map(JoinHandle::join);
        // A rule that panicked is a bug in the scenario: propagate it.
        if let Some(Err(panic)) = stopped
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

/// The number of packets and the last of them, for an error message.
fn describe(packets: &[Packet]) -> String {
    if packets.is_empty() {
        return "nothing".to_owned();
    }
    let mut text = match packets.len() {
        1 => "1 packet".to_owned(),
        count => format!("{count} packets"),
    };
    for (index, packet) in packets[packets.len().saturating_sub(SHOWN)..].iter().enumerate() {
        let separator = if index == 0 { ", most recently " } else { "; " };
        write!(text, "{separator}{packet}").expect("writing to a String cannot fail");
    }
    text
}
