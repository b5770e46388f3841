//! The running kernel as a source: the only module that names aya.
//!
//! `load` has the programs attached (`attach`), with the offsets that `fields` found in the kernel's own
//! descriptions (`btf`, `format`); `ring` reads the records that come, `record_stream` tells what is missing between them, and
//! `decode` turns them into events, unless the sink takes the records as they are (`deliver`). `binds` and `resets` are programs that a host may lack.

mod attach;
mod binds;
mod btf;
mod deliver;
mod error;
mod fields;
mod format;
mod load;
mod loader;
mod losses;
mod mapped;
mod misses;
mod own;
mod record_stream;
mod resets;
mod ring;
mod select;
mod table;
#[cfg(test)]
mod tests;
mod types;

use std::{
    io,
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    maps::{MapData, RingBuf},
};
use aya_log::EbpfLogger;
use log::{Log, info};
use probe_ebpf::ring_layout::NO_WAKEUP;
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::sleep_until,
};

pub(crate) use self::types::Types;
pub use self::{error::LiveError, load::LiveOptions, select::Namespaces};
use self::{
    misses::Misses,
    record_stream::{BATCH, RecordStream},
    ring::{Poll, Rings},
};
use super::{Flow, RecordSink, Source, SourceError, raw_record::Decoder};
use crate::model::{Host, Input};

/// How long a report may lie in its ring while others come. Nobody is woken until a ring is a quarter full, since each
/// wake-up costs the traced host an interrupt; fifty looks a second cost nothing.
const LOOK: Duration = Duration::from_millis(20);

/// How long a whole connection's may: there is one for five transitions, so that a ring has room for more of its time, and
/// it is over anyway. Each look takes the CPU from somebody.
const LOOK_AT_WHOLE: Duration = Duration::from_millis(50);

/// How long one may that goes into a recording and nowhere else.
const UNWATCHED: Duration = Duration::from_millis(100);

/// How long one may that the kernel side wrote while the reader was about to ask to be woken: it may not have seen that
/// yet.
const UNSEEN: Duration = Duration::from_millis(50);

/// How long to sleep where nothing comes: what is lost without a report has to be told at some time.
const QUIET: Duration = Duration::from_secs(1);

/// How full a ring must be, as a part of it, for the reader to be woken out of its turn.
const FULL: u64 = 4;

/// How often this process shows itself, where the rings have no room for that.
const LANDMARKS: usize = 16;

/// When the rings are to be looked into again.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// Nothing has come for a while: as soon as something does.
    Quiet,
    /// Nothing came: likewise.
    Idle,
    /// Something came, and that was all.
    Lively,
    /// There is more.
    Behind,
}

impl Pace {
    fn after(self, poll: Poll) -> Self {
        match (self, poll) {
            // The next one is too young to be told yet.
            (_, Poll { delivered: 0, next: Some(_), .. } | Poll { delivered: BATCH.., .. }) => Self::Behind,
            (Self::Idle | Self::Quiet, Poll { delivered: 0, .. }) => Self::Quiet,
            (_, Poll { delivered: 0, .. }) => Self::Idle,
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
    record_stream: RecordStream,
    /// Readable when the kernel side wakes the reader.
    waker: AsyncFd<RingBuf<MapData>>,
    log: Option<EbpfLogger<&'static dyn Log>>,
    pace: Pace,
    /// How long a report may lie in its ring while others come.
    pause: Duration,
    /// When the rings were looked into last.
    looked: Instant,
    /// What the next batch begins with.
    pending: Vec<Input>,
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
    /// [`LiveError`] says what this host lacks and what would remedy it.
    pub fn attach(options: &LiveOptions, host: Host) -> Result<Self, LiveError> {
        let start = Instant::now();
        let load::Loaded { mut ebpf, backend, unavailable, reasons, rings } = load::load(options)?;
        let waker = ebpf.take_map("WAKER").ok_or(LiveError::NoPart("WAKER"))?;
        let waker = RingBuf::try_from(waker).map_err(|error| LiveError::Ring(io::Error::other(error)))?;
        let log = options
            .kernel_log
            .then(|| EbpfLogger::init(&mut ebpf))
            .transpose()
            .map_err(|error| LiveError::Ring(io::Error::other(error)))?;
        let misses = Misses::of(&mut ebpf, load::transition(backend))?;
        let record_stream = RecordStream::new(Rings::of(&ebpf, rings)?, misses);
        let mut live = Self {
            ebpf,
            decoder: Decoder::new(backend, reasons),
            record_stream,
            waker: watched(waker).map_err(LiveError::Ring)?,
            log,
            pace: Pace::Behind,
            pause: if options.summaries { LOOK_AT_WHOLE } else { LOOK },
            looked: start,
            pending: vec![Input::Ready { host, backend, unavailable, existing: None }],
            pid: std::process::id(),
            attach: Duration::ZERO,
        };
        live.find_self()?;
        if options.filter.descendants {
            select::add_process(&mut live.ebpf, live.pid)?;
        }
        select::open(&mut live.ebpf, false)?;
        live.begin().map_err(LiveError::Ring)?;
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
            // If it was lost, that has to be known now.
            self.drain_rings(&mut events).map_err(LiveError::Ring)?;
            if let Some(pid) = landmark.find(&events) {
                self.pid = pid;
                return Ok(());
            }
            if !events.iter().any(|event| matches!(event, Input::Lost { .. })) {
                return Err(LiveError::Silent);
            }
        }
        Err(LiveError::Silent)
    }

    /// Lets go what was reported before it was settled what is wanted, and what was lost of it: others' reports, for the
    /// most part, while everything passed.
    fn begin(&mut self) -> io::Result<()> {
        self.drain_rings(&mut Vec::new())
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

    fn looked_and_saw(&mut self, poll: Poll) {
        self.pace = self.pace.after(poll);
        self.looked = Instant::now();
    }

    fn flush_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// Waits until it is worth looking into the rings, for one who may have time.
    async fn wait(&mut self, has_time: bool) -> io::Result<()> {
        let (wake_at, pause) = match self.pace {
            Pace::Behind => {
                tokio::task::yield_now().await;
                return Ok(());
            }
            Pace::Lively if has_time => (self.record_stream.rings.fraction(FULL), UNWATCHED),
            Pace::Lively => (self.record_stream.rings.fraction(FULL), self.pause),
            Pace::Idle => (0, UNSEEN),
            Pace::Quiet => (0, QUIET),
        };
        self.record_stream.rings.wake_at(wake_at);
        tokio::select! {
            () = sleep_until((self.looked + pause).into()) => {}
            guard = self.waker.readable_mut() => {
                let mut guard = guard?;
                guard.clear_ready();
                let waker = guard.get_inner_mut();
                while waker.next().is_some() {}
            }
        }
        self.record_stream.rings.wake_at(NO_WAKEUP);
        Ok(())
    }
}

/// What the reader is woken by, registered with the event loop.
#[expect(unsafe_code, reason = "tokio cannot see that the descriptor stays the ring's")]
fn watched(ring: RingBuf<MapData>) -> io::Result<AsyncFd<RingBuf<MapData>>> {
    // SAFETY: the map owns its descriptor, keeps it open as long as it lives, and always returns the
    // same one; it moves into the AsyncFd and out of it never.
    unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }.map_err(io::Error::from)
}

impl Source for Live {
    async fn deliver(&mut self, sink: &mut impl RecordSink) -> Result<Flow, SourceError> {
        if self.pending.is_empty() {
            self.wait(sink.tolerates_delay()).await?;
        }
        let poll = self.deliver_batch(sink)?;
        self.looked_and_saw(poll);
        Ok(Flow::More)
    }

    fn drain(&mut self, sink: &mut impl RecordSink) -> Result<(), SourceError> {
        Ok(self.drain_all(sink)?)
    }
}
