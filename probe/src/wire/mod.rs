//! An emulated link between two network namespaces: a TUN device in each, and a cable between them in
//! user space that delays every packet, records it, and by rule holds, drops or duplicates it.
//!
//! It needs neither a second host nor netem. A simultaneous open, for instance, is two connects while
//! a rule holds their SYNs:
//!
//! ```no_run
//! # use std::time::{Duration, Instant};
//! # use probe::{model::{Family, Fate, Segment, Side}, net::{Namespace, Tcp}, wire::{Link, Rule, Wire}};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (a, b) = (Namespace::private()?, Namespace::private()?);
//! let link = Link::new(Family::Ipv4).delay(Duration::from_millis(40));
//! let wire = Wire::between(&a, &b, link)?;
//! let ends = Side::BOTH.map(|side| link.at(side, 1314));
//! let soon = Instant::now() + Duration::from_secs(2);
//!
//! let syns = wire.add(Rule::hold(Segment::is_syn));
//! let connect = |from, to| -> Result<_, probe::net::SocketError> {
//!     let socket = Tcp::bound(from)?;
//!     socket.begin_connect(to)?;
//!     Ok(socket)
//! };
//! let left = a.enter(|| connect(ends[0], ends[1]))??;
//! let right = b.enter(|| connect(ends[1], ends[0]))??;
//! wire.wait_for(soon, |packets| packets.iter().filter(|packet| packet.fate == Fate::Held).count() == 2)?;
//! wire.lift(syns);
//! left.outcome(soon)?;
//! right.outcome(soon)?;
//! # Ok(())
//! # }
//! ```
//!
//! The parts: `rule` is what a scenario asks for, `cable` decides and remembers and is pure, `pump` is
//! the thread that reads and writes, `segment` goes between bytes and headers.

mod cable;
mod pump;
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

use self::{cable::Cable, pump::Shared};
pub use self::{cable::RuleId, rule::Rule};
use crate::{
    model::{Family, Packet, Segment, Side},
    net::{
        Namespace, NamespaceError,
        link::LinkError,
        tun::{Tun, TunError},
    },
    os::clock::now,
};

/// How many packets a device may have waiting. The pump empties it all the time, so this is what a side
/// may send while the pump is not running.
const QUEUE: u32 = 10_000;

/// Packets that an error message shows.
const SHOWN: usize = 12;

/// Why there is no wire, or why it did not show what was waited for.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// A side's namespace cannot be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// There is no device for a side.
    #[error(transparent)]
    Tun(#[from] TunError),
    /// A side's device cannot be set up.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// There is no thread or no pipe for the cable.
    #[error("starting the wire's thread: {0}")]
    Thread(io::Error),
    /// What was waited for did not happen in time.
    #[error("the wire did not show what was waited for in time; it carried {0}")]
    Deadline(String),
    /// One of the devices was taken away.
    #[error("the wire was cut: {0}; leave its devices alone while it is there")]
    Cut(String),
}

/// What a wire is like.
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

    /// The same with this delay each way.
    #[must_use]
    pub fn delay(self, each_way: Duration) -> Self {
        self.delay_from(Side::A, each_way).delay_from(Side::B, each_way)
    }

    /// The same with this delay for what `side` sends.
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

    /// A port at the address of a side.
    #[must_use]
    pub fn at(&self, side: Side, port: u16) -> SocketAddr {
        SocketAddr::new(self.address(side), port)
    }

    fn prefix(&self) -> u8 {
        match self.family {
            Family::Ipv4 => 24,
            Family::Ipv6 => 64,
        }
    }

    /// Makes the device of a side, in the calling thread's namespace.
    fn plug_in(&self, side: Side) -> Result<Tun, WireError> {
        let tun = Tun::open("wire%d")?;
        let device = tun.device();
        device.queue_length(QUEUE)?;
        device.up()?;
        device.add_address(self.address(side), self.prefix())?;
        Ok(tun)
    }
}

/// A wire between two namespaces. It is up from its making to its drop, which takes the devices away;
/// what still travels then is lost.
///
/// It may be used from several threads at once.
#[derive(Debug)]
pub struct Wire {
    shared: Arc<Shared>,
    /// `None` only while it is dropped: closing it stops the pump.
    wake: Option<PipeWriter>,
    /// Likewise.
    pump: Option<JoinHandle<()>>,
}

impl Wire {
    /// A wire from `a` to `b`, which must be two different namespaces. Both can reach each other when this
    /// returns.
    ///
    /// # Errors
    /// [`WireError`] says what is missing: privilege, TUN, IPv6.
    pub fn between(a: &Namespace, b: &Namespace, link: Link) -> Result<Self, WireError> {
        let tuns = [a.enter(|| link.plug_in(Side::A))??, b.enter(|| link.plug_in(Side::B))??];
        let (woken, wake) = io::pipe().map_err(WireError::Thread)?;
        let shared = Arc::new(Shared::new(Cable::new(link.delay)));
        let pumped = Arc::clone(&shared);
        let pump = thread::Builder::new()
            .name("wire".to_owned())
            .spawn(move || pump::run(&tuns, woken, &pumped))
            .map_err(WireError::Thread)?;
        Ok(Self { shared, wake: Some(wake), pump: Some(pump) })
    }

    /// Puts a rule in force for everything that is sent from now on.
    pub fn add(&self, rule: Rule) -> RuleId {
        self.shared.cable().add(rule)
    }

    /// Lifts a rule. What it holds goes on in the order in which it came: at once where its time is past.
    pub fn lift(&self, rule: RuleId) {
        self.shared.change(|cable| cable.lift(rule, now()));
        self.wake();
    }

    /// Sends a segment that no kernel made, with right checksums and no options, as if `from` had sent it:
    /// it takes the link's delay, and no rule is asked. `segment.payload` is ignored for `payload`'s length.
    ///
    /// # Panics
    /// Where the segment's addresses are of different families, or the payload exceeds an IP packet.
    pub fn inject(&self, from: Side, segment: &Segment, payload: &[u8]) {
        let bytes = segment::build(segment, payload);
        self.shared.change(|cable| cable.inject(from, &bytes, now()));
        self.wake();
    }

    /// Answers an IPv4 packet with an ICMP message of the type "destination unreachable" and this code, as if the host
    /// that the packet goes to had sent it.
    ///
    /// # Panics
    /// Where the packet is not IPv4, or there is no such code.
    pub fn inject_unreachable(&self, packet: &Packet, code: u8) {
        let bytes = segment::unreachable(&packet.bytes, code);
        self.shared.change(|cable| cable.inject(packet.from.peer(), &bytes, now()));
        self.wake();
    }

    /// Every packet so far, in the order in which they came onto the wire. Packets for groups (IPv6's
    /// greetings) are neither carried nor shown.
    #[must_use]
    pub fn packets(&self) -> Vec<Packet> {
        self.shared.cable().packets().to_vec()
    }

    /// Waits until `seen` is true of the packets so far, and returns those. It is asked again whenever a
    /// packet is sent or its fate changes.
    ///
    /// # Errors
    /// The deadline passed, and the error tells what the wire carried; or the wire was cut.
    pub fn wait_for(
        &self,
        deadline: Instant,
        mut seen: impl FnMut(&[Packet]) -> bool,
    ) -> Result<Vec<Packet>, WireError> {
        let Shared { changed, cut, .. } = &*self.shared;
        let left = deadline.saturating_duration_since(Instant::now());
        let mut shown = false;
        let (cable, _) = changed
            .wait_timeout_while(self.shared.cable(), left, |cable| {
                shown = seen(cable.packets());
                !shown && cut.get().is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        match cut.get() {
            _ if shown => Ok(cable.packets().to_vec()),
            Some(cut) => Err(WireError::Cut(cut.clone())),
            None => Err(WireError::Deadline(describe(cable.packets()))),
        }
    }

    fn wake(&self) {
        if let Some(mut wake) = self.wake.as_ref() {
            // It fails only when the pump has ended, and then there is nobody to wake.
            wake.write_all(&[0]).ok();
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.wake = None;
        let ended = self.pump.take().map(JoinHandle::join);
        // A rule's panic is a bug in the scenario; it must not pass unseen.
        if let Some(Err(panic)) = ended
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

/// The last packets, for an error message.
fn describe(packets: &[Packet]) -> String {
    if packets.is_empty() {
        return "nothing".to_owned();
    }
    let mut text = match packets.len() {
        1 => "1 packet".to_owned(),
        count => format!("{count} packets"),
    };
    for (index, packet) in packets[packets.len().saturating_sub(SHOWN)..].iter().enumerate() {
        let separator = if index == 0 { ", at last: " } else { "; " };
        write!(text, "{separator}{packet}").expect("writing to a String cannot fail");
    }
    text
}
