//! The running kernel as a source: the only module that names aya.
//!
//! `load` has the programs attached (`attach`), with the offsets that `fields` found in the kernel's own
//! descriptions (`btf`, `format`); `decode` turns the ring's records into events, which `hand_over` spares those who
//! want them as they are. `binds` and `resets` are programs that a host may lack.

mod attach;
mod binds;
mod btf;
// Open for `probe/benches` alone.
#[doc(hidden)]
pub mod decode;
mod fields;
mod format;
mod hand_over;
mod load;
mod loader;
mod losses;
mod misses;
mod own;
mod resets;
mod select;
#[cfg(test)]
mod tests;
mod types;

use std::{
    io,
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    maps::{Array, MapData, RingBuf},
};
use aya_log::EbpfLogger;
use log::{Log, info};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::sleep,
};

pub(crate) use self::types::Types;
pub use self::{
    load::{LiveError, LiveOptions},
    select::Namespaces,
};
use self::{losses::Losses, misses::Misses};
use super::{Flow, Source, SourceError, Taker, undecoded::Decoder};
use crate::{
    model::{Event, Host},
    net::clock,
};

/// How long a report may lie in the ring while others come. The kernel side wakes nobody until the ring is a quarter
/// full, since each wake-up costs the traced host an interrupt; fifty looks a second cost nothing.
const LOOK: Duration = Duration::from_millis(20);

/// The same, where nothing has come lately.
const IDLE: Duration = Duration::from_millis(50);

/// How long a report may lie there that goes into a recording and nowhere else.
const UNWATCHED: Duration = Duration::from_millis(100);

/// How many reports are taken at once: whoever waits for a batch gets one, and what becomes of them is small enough to
/// stay in the processor's cache.
const BATCH: usize = 1024;

/// How often this process shows itself, where the ring has no room for that.
const LANDMARKS: usize = 16;

/// When the ring is to be looked into again.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// Nothing came.
    Idle,
    /// Something came, and that was all.
    Lively,
    /// There is more.
    Behind,
}

impl Pace {
    /// After so many reports at once.
    fn after(number: usize) -> Self {
        match number {
            0 => Self::Idle,
            BATCH.. => Self::Behind,
            _ => Self::Lively,
        }
    }
}

/// The running kernel. Dropping it detaches the programs; so does the end of the process, however it
/// comes.
pub struct Live {
    /// Holds the links, and the filter's maps.
    ebpf: Ebpf,
    decoder: Decoder,
    ring: AsyncFd<RingBuf<MapData>>,
    losses: Losses,
    misses: Misses,
    log: Option<EbpfLogger<&'static dyn Log>>,
    pace: Pace,
    /// What the next batch begins with.
    pending: Vec<Event>,
    pid: u32,
    attach: Duration,
}

impl Live {
    /// Attaches the programs. From here on nothing is missed; the first batch says so.
    ///
    /// Needs a tokio runtime, since the ring is waited on. `host` is what the stream tells of the
    /// machine.
    ///
    /// # Errors
    /// [`LiveError`] says what this host lacks and what would cure it.
    pub fn attach(options: &LiveOptions, host: Host) -> Result<Self, LiveError> {
        let start = Instant::now();
        let load::Loaded { mut ebpf, backend, off, reasons } = load::load(options)?;
        let mut take = |name| ebpf.take_map(name).ok_or(LiveError::NoPart(name));
        let map = |error: aya::maps::MapError| LiveError::Ring(io::Error::other(error));
        let ring = RingBuf::try_from(take("EVENTS")?).map_err(map)?;
        let losses = Losses::of(Array::try_from(take("LOST")?).map_err(map)?);
        let log = options
            .kernel_log
            .then(|| EbpfLogger::init(&mut ebpf))
            .transpose()
            .map_err(|error| LiveError::Ring(io::Error::other(error)))?;
        let misses = Misses::of(&mut ebpf, load::transition(backend))?;
        let mut live = Self {
            ebpf,
            decoder: Decoder::new(backend, reasons),
            ring: watched(ring).map_err(LiveError::Ring)?,
            losses,
            misses,
            log,
            pace: Pace::Behind,
            pending: vec![Event::Ready { host, backend, off, existing: None }],
            pid: std::process::id(),
            attach: Duration::ZERO,
        };
        live.find_self()?;
        if options.filter.descendants {
            select::add_process(&mut live.ebpf, live.pid)?;
        }
        select::open(&mut live.ebpf, false)?;
        live.begin().map_err(|error| LiveError::Ring(io::Error::other(error)))?;
        live.attach = start.elapsed();
        info!(
            "attached to {} in {:?}; to the kernel this process is {}",
            backend.name(),
            live.attach,
            live.pid
        );
        Ok(live)
    }

    /// Learns this process's id in the kernel's reports, which proves by the way that they arrive. On a busy host the
    /// ring may have been full at that moment; then it was read empty meanwhile.
    fn find_self(&mut self) -> Result<(), LiveError> {
        let mut events = Vec::new();
        for _ in 0..LANDMARKS {
            let Some(landmark) = own::Landmark::leave() else { break };
            loop {
                let known = events.len();
                // If it was lost, that has to be known now.
                let taken = self.take_and_ask(&mut events, true);
                taken.map_err(|error| LiveError::Ring(io::Error::other(error)))?;
                if events.len() == known {
                    break;
                }
            }
            if let Some(pid) = landmark.find(&events) {
                self.pid = pid;
                return Ok(());
            }
            if !events.iter().any(|event| matches!(event, Event::Lost { .. })) {
                return Err(LiveError::Silent);
            }
        }
        Err(LiveError::Silent)
    }

    /// Lets go what was reported before it was settled what is wanted, and what was lost of it: others' reports, for the
    /// most part, while everything passed.
    fn begin(&mut self) -> Result<(), SourceError> {
        let counted = self.losses.counted()?;
        self.take(&mut Vec::new())?;
        let _ = self.losses.at_the_end(counted);
        Ok(())
    }

    /// This process's id as the kernel's reports give it: in the initial pid namespace.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The namespaces of which reports are wanted: none until they are added, where [`LiveOptions::namespaces`] is set.
    ///
    /// # Errors
    /// They have been taken already.
    pub fn namespaces(&mut self) -> Result<Namespaces, LiveError> {
        Namespaces::of(&mut self.ebpf)
    }

    /// How long loading and attaching took.
    #[must_use]
    pub fn attach_time(&self) -> Duration {
        self.attach
    }

    /// Takes what is in the ring now, without waiting.
    fn take(&mut self, out: &mut Vec<Event>) -> Result<(), SourceError> {
        let is_due = self.losses.is_due();
        self.take_and_ask(out, is_due)
    }

    /// The same. Where the ring is empty, `asks` is whether the kernel side is asked what it has lost since.
    fn take_and_ask(&mut self, out: &mut Vec<Event>, asks: bool) -> Result<(), SourceError> {
        let begin = out.len();
        self.read(out);
        if asks && out.len() == begin {
            let counted = self.losses.counted()?;
            // What has come in between has the count with it.
            self.read(out);
            if out.len() == begin {
                out.extend(self.losses.at_the_end(counted));
            }
        }
        if (asks || out.len() > begin)
            && let Some(lost) = self.misses.lost(asks).map_err(SourceError::Live)?
        {
            // Somewhere among what has come just now, or before it.
            out.insert(begin, lost);
        }
        if let Some(log) = &mut self.log {
            log.flush();
        }
        Ok(())
    }

    /// Waits until it is worth looking into the ring, for one who may have time.
    async fn wait(&self, has_time: bool) -> io::Result<()> {
        let pause = match self.pace {
            Pace::Behind => None,
            _ if has_time => Some(UNWATCHED),
            Pace::Lively => Some(LOOK),
            Pace::Idle => Some(IDLE),
        };
        match pause {
            None => tokio::task::yield_now().await,
            Some(pause) => tokio::select! {
                () = sleep(pause) => {}
                guard = self.ring.readable() => guard?.clear_ready(),
            },
        }
        Ok(())
    }

    fn read(&mut self, out: &mut Vec<Event>) {
        let ring = self.ring.get_mut();
        for _ in 0..BATCH {
            let Some(record) = ring.next() else { break };
            out.extend(decode::peek::header(&record).and_then(|header| self.losses.before(&header)));
            out.push(self.decoder.decode_or_lose(&record));
        }
    }
}

/// The ring, registered with the event loop.
#[expect(unsafe_code, reason = "tokio cannot see that the descriptor stays the ring's")]
fn watched(ring: RingBuf<MapData>) -> io::Result<AsyncFd<RingBuf<MapData>>> {
    // SAFETY: the map owns its descriptor, keeps it open as long as it lives, and always returns the
    // same one; it moves into the AsyncFd and out of it never.
    unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }.map_err(io::Error::from)
}

impl Source for Live {
    async fn batch(&mut self, out: &mut Vec<Event>) -> Result<Flow, SourceError> {
        if !self.pending.is_empty() {
            out.append(&mut self.pending);
            return Ok(Flow::More);
        }
        self.wait(false).await?;
        let known = out.len();
        self.take(out)?;
        self.pace = Pace::after(out.len() - known);
        Ok(Flow::More)
    }

    async fn hand_over(&mut self, taker: &mut impl Taker) -> Result<Flow, SourceError> {
        if self.pending.is_empty() {
            // Each look takes the CPU from somebody.
            self.wait(taker.has_time()).await?;
        }
        let is_due = self.losses.is_due();
        self.pace = Pace::after(self.give(taker, is_due)?);
        Ok(Flow::More)
    }

    fn hand_over_rest(&mut self, taker: &mut impl Taker) -> Result<(), SourceError> {
        self.give_rest(taker)
    }

    fn drain(&mut self, out: &mut Vec<Event>) -> Result<(), SourceError> {
        out.append(&mut self.pending);
        // On a busy host there is no end of what comes meanwhile.
        let begun = clock::now();
        loop {
            let known = out.len();
            self.take_and_ask(out, true)?;
            let came_since = |event: &Event| match event {
                Event::Report(report) => report.at > begun,
                Event::Summary(summary) => summary.end.at > begun,
                _ => false,
            };
            if out.len() == known || out[known..].iter().any(came_since) {
                return Ok(());
            }
        }
    }
}
