//! The kernel side's rings, one for each CPU, read as one: in the order of time.
//!
//! The transitions of one socket may come from several CPUs, and must stay in their order. They happen under the socket's
//! lock, each recorded before the lock is given away. So when all rings have been looked into after a moment, what was
//! recorded up to then is there, together with all that came before it on its socket: up to that moment, less what two
//! CPUs' clocks may differ by, records are taken. The others wait for the next look.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    io,
    ops::ControlFlow,
    slice,
    sync::atomic::{AtomicU64, Ordering},
};

use aya::{Ebpf, EbpfLoader, maps::Map, util::online_cpus};
use probe_ebpf::RecordHeader;
use probe_ebpf::rings::{CHUNK, Cursor, Mark, RING_BYTES, STRIDE, Shared, place};

use super::{LiveError, mapped::Mapped};
use crate::{model::Mono, os::clock, source::decode::peek};

/// By how much the time of a record may be off between CPUs: `bpf_ktime_get_ns` reads the clock without a lock, while
/// it may be adjusted (`ktime_get_mono_fast_ns`).
const SKEW_NS: u64 = 10_000;

/// How large the rings are.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// How many there are.
    rings: u32,
    /// How many chunks each of them has.
    chunks: u32,
}

impl Size {
    /// Of rings for all CPUs that there are, which share so many bytes.
    pub fn of(bytes: Option<u32>) -> io::Result<Self> {
        let cpus = online_cpus()
            .map_err(|(file, error)| io::Error::new(error.kind(), format!("{file}: {error}")))?;
        Ok(Self::shared(bytes, cpus.last().map_or(1, |last| last + 1)))
    }

    fn shared(bytes: Option<u32>, rings: u32) -> Self {
        let least = if bytes.is_some() { CHUNK } else { LEAST };
        let each = (bytes.unwrap_or(RING_BYTES) / rings).max(least);
        Self { rings, chunks: (each / CHUNK).next_power_of_two() }
    }

    /// Tells the kernel side.
    pub fn prepare<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        loader.override_global("CHUNKS", &self.chunks, true);
        loader.map_max_entries("CURSORS", self.rings);
        loader.map_max_entries("CHUNKS_OF_RINGS", self.rings * self.chunks);
    }

    /// How many bytes each ring has.
    fn each(self) -> u64 {
        u64::from(self.chunks) * u64::from(CHUNK)
    }
}

/// The least that each ring has, unless another size is asked for: a CPU's burst finds room in its own alone.
const LEAST: u32 = 512 << 10;

/// The rings of a loaded object.
pub struct Ring {
    shared: Mapped,
    cursors: Mapped,
    chunks: Mapped,
    size: Size,
    /// Up to where each has been read.
    positions: Vec<u64>,
    /// The header of each one's next record, where there is one.
    headers: Vec<RecordHeader>,
    /// The time of each one's next record, where there is one.
    next: BinaryHeap<Reverse<(Mono, usize)>>,
}

/// What came of a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// How many records were taken.
    pub number: usize,
    /// The time of the first one that was not.
    pub next: Option<Mono>,
    /// Whether who takes them has had enough.
    pub is_enough: bool,
}

impl Ring {
    /// Of the object that was loaded with this size.
    pub fn of(ebpf: &Ebpf, size: Size) -> Result<Self, LiveError> {
        let number = size.rings as usize;
        Ok(Self {
            shared: map(ebpf, "SHARED", size_of::<Shared>())?,
            cursors: map(ebpf, "CURSORS", number * size_of::<Cursor>())?,
            chunks: map(ebpf, "CHUNKS_OF_RINGS", number * size.chunks as usize * STRIDE as usize)?,
            size,
            positions: vec![0; number],
            headers: vec![RecordHeader { kind: 0, cpu: 0, lost: 0, mono_ns: 0 }; number],
            next: BinaryHeap::with_capacity(number),
        })
    }

    /// How many records have found no room so far; it wraps.
    pub fn lost(&self) -> u32 {
        let lost = self.shared.at::<u8>(std::mem::offset_of!(Shared, lost));
        word(lost.cast()).load(Ordering::Acquire) as u32
    }

    /// How many bytes of a ring must wait for the reader to be woken.
    pub fn wake_at(&self, bytes: u64) {
        word(self.shared.at(std::mem::offset_of!(Shared, wake_at))).store(bytes, Ordering::Release);
    }

    /// A part of the size of each ring.
    pub fn part(&self, of: u64) -> u64 {
        self.size.each() / of
    }

    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        (0..self.positions.len()).all(|ring| self.record(ring).is_none())
    }

    /// Takes what there is, in the order of time, but so many records at most.
    pub fn take(
        &mut self,
        most: usize,
        mut each: impl FnMut(RecordHeader, &[u8]) -> ControlFlow<()>,
    ) -> Look {
        // Before the first ring is looked into.
        let until = Mono(clock::now().0.saturating_sub(SKEW_NS));
        let mut next = std::mem::take(&mut self.next);
        next.clear();
        next.extend(
            (0..self.positions.len()).filter_map(|ring| Some(Reverse((self.time_of_next(ring)?, ring)))),
        );
        let mut look = Look::default();
        while let Some(mut first) = next.peek_mut() {
            let Reverse((time, ring)) = *first;
            if time > until || look.number == most || look.is_enough {
                look.next = Some(time);
                break;
            }
            let Some(record) = self.record(ring) else { break };
            look.is_enough = each(self.headers[ring], record).is_break();
            look.number += 1;
            self.positions[ring] += (size_of::<Mark>() + record.len()) as u64;
            match self.time_of_next(ring) {
                Some(time) => first.0.0 = time,
                None => drop(PeekMut::pop(first)),
            }
        }
        self.next = next;
        if look.number > 0 {
            self.give_back();
        }
        look
    }

    /// Lets the kernel side have the room of what was taken.
    fn give_back(&self) {
        for (ring, position) in self.positions.iter().enumerate() {
            let taken = ring * size_of::<Cursor>() + std::mem::offset_of!(Cursor, taken);
            word(self.cursors.at(taken)).store(*position, Ordering::Release);
        }
    }

    /// Parses the header of a ring's next record and returns its time.
    fn time_of_next(&mut self, ring: usize) -> Option<Mono> {
        let header = peek::header(self.record(ring)?).ok()?;
        self.headers[ring] = header;
        Some(Mono(header.mono_ns))
    }

    /// The next record of a ring.
    fn record(&self, ring: usize) -> Option<&[u8]> {
        let position = self.positions[ring];
        let (chunk, at) = place(position, self.size.chunks);
        let chunk = ring * self.size.chunks as usize + chunk as usize;
        let offset = chunk * STRIDE as usize + at as usize;
        let mark = Mark(word(self.chunks.at(offset)).load(Ordering::Acquire));
        let length = usize::from(mark.length_at(position)?).checked_sub(size_of::<Mark>())?;
        let start: *mut u8 = self.chunks.at(offset + size_of::<Mark>());
        #[expect(unsafe_code, reason = "the record lies in memory that is shared with the kernel")]
        // SAFETY: the mark says that the record has been written, and nobody writes there again before its room is given
        // back; it ends within the room behind its chunk.
        Some(unsafe { slice::from_raw_parts(start, length) })
    }
}

/// Maps the array of this name, so much of it.
fn map(ebpf: &Ebpf, name: &'static str, length: usize) -> Result<Mapped, LiveError> {
    let Some(Map::Array(map)) = ebpf.map(name) else { return Err(LiveError::NoPart(name)) };
    Mapped::shared(map.fd(), length).map_err(LiveError::Ring)
}

/// A word that the kernel side may write as well.
fn word<'a>(at: *mut u64) -> &'a AtomicU64 {
    #[expect(unsafe_code, reason = "the word lies in memory that is shared with the kernel")]
    // SAFETY: an aligned word of a mapping, which is as long as its owner; callers use it on the spot.
    unsafe {
        AtomicU64::from_ptr(at)
    }
}
