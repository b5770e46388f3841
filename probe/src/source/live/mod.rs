//! The running kernel as a source: the only module that names aya.
//!
//! `load` loads and attaches the programs (`attach`), with the field offsets that `fields` finds in the kernel's own
//! descriptions (`btf`, `format`). `ring` reads the records in order, `record_stream` adds the losses between them, and
//! [`Live`] passes them to the sink, as often as `pace` says. `kernel_symbols` has the functions by which the programs
//! recognise a stack. `binds` and `resets` are programs that a host may not support.

mod attach;
mod binds;
mod btf;
mod error;
mod fields;
mod format;
mod kernel_symbols;
mod load;
mod loader;
mod losses;
mod mapped;
mod misses;
mod options;
mod own_pid;
mod pace;
mod record_stream;
mod resets;
mod ring;
mod select;
mod skips;
mod table_size;
#[cfg(test)]
mod tests;
pub(crate) mod tracefs;
mod type_check;

use std::{
    io,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    maps::{MapData, RingBuf},
};
use aya_log::EbpfLogger;
use log::{Log, info};
use probe_ebpf::{RecordHeader, ring_layout::NO_WAKEUP};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::sleep_until,
};

pub(crate) use self::type_check::TypeCheck;
pub use self::{error::LiveError, options::LiveOptions, select::Namespaces};
use self::{
    misses::Misses,
    own_pid::OwnListener,
    pace::{DELAYED_POLL_INTERVAL, POLL_INTERVAL, Pace, SUMMARY_POLL_INTERVAL, WAKE_FRACTION, WakeUp},
    record_stream::{Item, Receiver, RecordStream},
    ring::{Poll, Rings},
};
use super::{Flow, RawRecord, RecordSink, Source, SourceError, raw_record::Decoder};
use crate::{
    model::{Host, Input},
    os::{clock, open_files},
};

/// The limit of open files below which attaching fails, with errors that do not name it. 46 are needed.
const MIN_OPEN_FILES: u64 = 64;

/// How many times to open a test listener until its report finds room in a ring.
const MAX_TEST_LISTENERS: usize = 16;

/// The running kernel. The programs are detached when this is dropped, or when the process ends for any reason.
pub struct Live {
    /// Owns the links and the filter's maps.
    ebpf: Ebpf,
    decoder: Decoder,
    record_stream: RecordStream,
    /// Becomes readable when a program wakes the reader.
    waker: AsyncFd<RingBuf<MapData>>,
    log: Option<EbpfLogger<&'static dyn Log>>,
    pace: Pace,
    poll_interval: Duration,
    last_poll: Instant,
    /// What precedes the first record.
    pending: Vec<Input>,
    pid: u32,
    attach_time: Duration,
}

impl Live {
    /// Attaches the programs. Every event is reported from here on; the first batch says so.
    ///
    /// Needs a tokio runtime, in which it waits for the rings. `host` is the description of this machine for the stream.
    ///
    /// # Errors
    /// [`LiveError`] says what this host lacks, and how to provide it.
    pub fn attach(options: &LiveOptions, host: Host) -> Result<Self, LiveError> {
        let start = Instant::now();
        let limit = open_files::limit();
        if limit < MIN_OPEN_FILES {
            return Err(LiveError::OpenFiles { needed: MIN_OPEN_FILES, limit });
        }
        let load::Loaded { mut ebpf, backend, unavailable, reasons, rings } =
            tracefs::with_tracefs(|| load::load(options))?;
        let waker = ebpf.take_map("WAKER").ok_or(LiveError::NoPart("WAKER"))?;
        let waker = RingBuf::try_from(waker).map_err(|error| LiveError::Ring(io::Error::other(error)))?;
        let log = options
            .kernel_log
            .then(|| EbpfLogger::init(&mut ebpf))
            .transpose()
            .map_err(|error| LiveError::Ring(io::Error::other(error)))?;
        let misses = Misses::of(&mut ebpf, load::transition_program(backend))?;
        let record_stream = RecordStream::new(Rings::of(&ebpf, rings)?, misses);
        let mut live = Self {
            ebpf,
            decoder: Decoder::new(backend, reasons),
            record_stream,
            waker: register(waker).map_err(LiveError::Ring)?,
            log,
            pace: Pace::Behind,
            poll_interval: if options.summaries { SUMMARY_POLL_INTERVAL } else { POLL_INTERVAL },
            last_poll: start,
            pending: vec![Input::Ready { host, backend, unavailable, existing: None }],
            pid: std::process::id(),
            attach_time: Duration::ZERO,
        };
        live.find_own_pid()?;
        if options.filter.descendants {
            select::add_process(&mut live.ebpf, live.pid)?;
        }
        select::pass_all(&mut live.ebpf, false)?;
        live.discard_unfiltered().map_err(LiveError::Ring)?;
        if let Some(Input::Ready { host, .. }) = live.pending.first_mut() {
            host.ready_at = clock::now();
        }
        live.attach_time = start.elapsed();
        info!(
            "attached to {} in {:?}; the kernel reports this process as {}",
            backend.name(),
            live.attach_time,
            live.pid
        );
        Ok(live)
    }

    /// Finds this process's id in the kernel's reports, which also proves that reports arrive. On a busy host the ring may
    /// have been full at that moment. It has been drained by the next attempt.
    fn find_own_pid(&mut self) -> Result<(), LiveError> {
        let mut events = Vec::new();
        for _ in 0..MAX_TEST_LISTENERS {
            let Some(listener) = OwnListener::open() else { break };
            // Also reports whether the listener's record was lost.
            self.drain_rings(&mut events).map_err(LiveError::Ring)?;
            if let Some(pid) = listener.find_pid(&events) {
                self.pid = pid;
                return Ok(());
            }
            if !events.iter().any(|event| matches!(event, Input::Lost { .. })) {
                return Err(LiveError::Silent);
            }
        }
        Err(LiveError::Silent)
    }

    /// Discards what was reported or lost before the filter was active, when every transition of the host passed.
    fn discard_unfiltered(&mut self) -> io::Result<()> {
        self.drain_rings(&mut Vec::new())
    }

    /// This process's id as the kernel reports it: in the initial pid namespace.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The selected namespaces. With [`LiveOptions::namespaces`], none is selected until it is added.
    ///
    /// # Errors
    /// They have been taken already.
    pub fn namespaces(&mut self) -> Result<Namespaces, LiveError> {
        Namespaces::of(&mut self.ebpf)
    }

    /// The time that loading and attaching took.
    #[must_use]
    pub fn attach_time(&self) -> Duration {
        self.attach_time
    }

    fn note_poll(&mut self, poll: Poll) {
        self.pace = self.pace.after(poll);
        self.last_poll = Instant::now();
    }

    fn flush_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// Waits until the next poll is due.
    async fn wait(&mut self, tolerates_delay: bool) -> io::Result<()> {
        let interval = if tolerates_delay { DELAYED_POLL_INTERVAL } else { self.poll_interval };
        let Some((wake_up, interval)) = self.pace.next_poll(interval) else {
            tokio::task::yield_now().await;
            return Ok(());
        };
        let rings = &self.record_stream.rings;
        rings.wake_at(match wake_up {
            WakeUp::AnyRecord => 0,
            WakeUp::FilledRing => rings.fraction(WAKE_FRACTION),
        });
        tokio::select! {
            () = sleep_until((self.last_poll + interval).into()) => {}
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

    /// Delivers what is in the rings now: a batch at most.
    fn deliver_batch(&mut self, sink: &mut impl RecordSink) -> io::Result<Poll> {
        if self.deliver_pending(sink).is_break() {
            return Ok(Poll::default());
        }
        let Self { record_stream, decoder, .. } = self;
        let poll = record_stream.poll(&mut Delivery { sink, decoder });
        self.flush_log();
        poll
    }

    /// Delivers everything that has been recorded by now.
    fn drain_all(&mut self, sink: &mut impl RecordSink) -> io::Result<()> {
        if self.deliver_pending(sink).is_break() {
            return Ok(());
        }
        self.drain_rings(sink)
    }

    /// Delivers every record in the rings.
    fn drain_rings(&mut self, sink: &mut impl RecordSink) -> io::Result<()> {
        let Self { record_stream, decoder, .. } = self;
        let drained = record_stream.drain(&mut Delivery { sink, decoder });
        self.flush_log();
        drained
    }

    /// Delivers what precedes the first record.
    fn deliver_pending(&mut self, sink: &mut impl RecordSink) -> ControlFlow<()> {
        if self.pending.is_empty() {
            return ControlFlow::Continue(());
        }
        self.pending.drain(..).try_for_each(|input| sink.input(input))?;
        sink.reset_reasons(self.decoder.reasons())
    }
}

/// Registers the map that wakes the reader with the event loop.
#[expect(unsafe_code, reason = "tokio cannot know that the map keeps its descriptor")]
fn register(waker: RingBuf<MapData>) -> io::Result<AsyncFd<RingBuf<MapData>>> {
    // SAFETY: the map owns its descriptor, keeps it open while it exists, and always returns the same one. It moves into
    // the AsyncFd and never out of it.
    unsafe { AsyncFd::register_with_interest(waker, Interest::READABLE) }.map_err(io::Error::from)
}

impl Source for Live {
    async fn deliver(&mut self, sink: &mut impl RecordSink) -> Result<Flow, SourceError> {
        if self.pending.is_empty() {
            self.wait(sink.tolerates_delay()).await?;
        }
        let poll = self.deliver_batch(sink)?;
        self.note_poll(poll);
        Ok(Flow::More)
    }

    fn drain(&mut self, sink: &mut impl RecordSink) -> Result<(), SourceError> {
        Ok(self.drain_all(sink)?)
    }
}

/// The sink as the receiver of the stream.
struct Delivery<'a, S> {
    sink: &'a mut S,
    decoder: &'a Decoder,
}

impl<S: RecordSink> Receiver for Delivery<'_, S> {
    fn item(&mut self, item: Item<'_>) -> ControlFlow<()> {
        match item {
            Item::Gap(gap) => self.sink.input(gap.into()),
            Item::Record(header, bytes) => self.sink.record(&RawRecord::new(header, bytes, self.decoder)),
        }
    }

    fn follows(&self, header: RecordHeader, record: &[u8]) -> bool {
        self.sink.follows(&RawRecord::new(header, record, self.decoder))
    }
}
