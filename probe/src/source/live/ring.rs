//! The per-CPU ring buffers, read as one stream in the order of time.
//!
//! The transitions of one socket may come from several CPUs, and must stay in order. They happen under the socket's lock,
//! and each is recorded before its CPU releases the lock. So once all rings have been polled after some moment, everything
//! recorded up to that moment has been seen, together with everything that preceded it on its socket. Records up to that
//! moment, less the possible difference between two CPUs' clocks, are delivered. Later ones wait for the next poll.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    mem::offset_of,
    ops::ControlFlow,
    sync::atomic::Ordering,
};

use aya::{Ebpf, EbpfLoader, maps::Map, util::online_cpus};
use probe_ebpf::{
    RecordHeader,
    ring_layout::{
        CHUNK_SIZE, CHUNK_STRIDE, Cursor, DEFAULT_RING_BYTES, MAX_RECORD, Mark, RingControl, locate,
    },
};
use thiserror::Error;

use super::{error::LiveError, mapped::SharedMemory};
use crate::{model::Mono, os::clock, record::peek};

/// The possible difference in nanoseconds between the clocks of two CPUs: `bpf_ktime_get_ns` reads the clock without a
/// lock, while the kernel may adjust it (`ktime_get_mono_fast_ns`).
const SKEW_NS: u64 = 10_000;

/// The minimum size of each ring in bytes, unless another size is requested: one ring alone holds the burst of its CPU.
const MIN_RING_BYTES: u32 = 512 << 10;

/// The size of the rings.
#[derive(Clone, Copy, Debug)]
pub struct RingSize {
    /// The number of rings: one for each CPU.
    rings: u32,
    /// The number of chunks in each ring.
    chunks: u32,
}

impl RingSize {
    /// The size of rings for all CPUs of this host that share `bytes`.
    ///
    /// # Errors
    /// The list of CPUs cannot be read.
    pub fn of(bytes: Option<u32>) -> Result<Self, LiveError> {
        let cpus = online_cpus().map_err(|(path, source)| LiveError::Cpus { path, source })?;
        Ok(Self::shared(bytes, cpus.last().map_or(1, |last| last + 1)))
    }

    fn shared(bytes: Option<u32>, rings: u32) -> Self {
        let min = if bytes.is_some() { CHUNK_SIZE } else { MIN_RING_BYTES };
        let each = (bytes.unwrap_or(DEFAULT_RING_BYTES) / rings).max(min);
        Self { rings, chunks: (each / CHUNK_SIZE).next_power_of_two() }
    }

    /// Sets the size in the object that is to be loaded.
    pub fn prepare<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        loader.override_global("RING_CHUNKS", &self.chunks, true);
        loader.map_max_entries("RING_CURSORS", self.rings);
        loader.map_max_entries("RING_MEMORY", self.rings * self.chunks);
    }

    /// The size of each ring in bytes.
    fn each(self) -> u64 {
        u64::from(self.chunks) * u64::from(CHUNK_SIZE)
    }
}

/// A ring contains what no BPF program writes. The start of its next record is unknown, so that nothing more can be read.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "the ring buffer of CPU {cpu} is corrupt: the record at position {position} claims {length} bytes, \
     but a record has {MIN_LENGTH} to {MAX_RECORD}, in multiples of 8; \
     restart the trace, and report a bug with `uname -a` if this happens again"
)]
pub struct CorruptRing {
    cpu: usize,
    position: u64,
    length: usize,
}

/// The length in bytes of the shortest record with its mark.
const MIN_LENGTH: usize = size_of::<Mark>() + size_of::<RecordHeader>();

/// The length in a mark, if a record can have it.
fn checked(length: usize) -> Option<usize> {
    let is_valid =
        (MIN_LENGTH..=MAX_RECORD as usize).contains(&length) && length.is_multiple_of(size_of::<Mark>());
    is_valid.then_some(length)
}

/// The rings of a loaded object.
pub struct Rings {
    control: SharedMemory,
    cursors: SharedMemory,
    memory: SharedMemory,
    size: RingSize,
    /// By ring: the position up to which it has been read.
    positions: Vec<u64>,
    /// By ring: what of it is complete.
    complete: Vec<Complete>,
    /// By ring: the header of its next record, if there is one.
    headers: Vec<RecordHeader>,
    /// The time of each ring's next record, if there is one.
    next: BinaryHeap<Reverse<(Mono, usize)>>,
}

/// The part of a ring that is written.
#[derive(Clone, Copy, Debug)]
struct Complete {
    /// No record in front of this position is still being written.
    position: u64,
    /// Nor is any that was recorded up to this time.
    until: Mono,
}

/// The result of a poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Poll {
    /// How many records were delivered.
    pub delivered: usize,
    /// The time of the first record that was not.
    pub next: Option<Mono>,
    /// Whether the receiver stopped the poll.
    pub is_stopped: bool,
}

impl Rings {
    /// The rings of an object that was loaded with this size.
    ///
    /// # Errors
    /// The object lacks a map, or the kernel refuses to map its memory.
    pub fn of(ebpf: &Ebpf, size: RingSize) -> Result<Self, LiveError> {
        let [control, cursors, memory] = Self::lengths(size);
        Ok(Self::new(
            map(ebpf, "RING_CONTROL", control)?,
            map(ebpf, "RING_CURSORS", cursors)?,
            map(ebpf, "RING_MEMORY", memory)?,
            size,
        ))
    }

    /// The sizes in bytes of the three maps.
    fn lengths(size: RingSize) -> [usize; 3] {
        let number = size.rings as usize;
        [
            size_of::<RingControl>(),
            number * size_of::<Cursor>(),
            number * size.chunks as usize * CHUNK_STRIDE as usize,
        ]
    }

    fn new(control: SharedMemory, cursors: SharedMemory, memory: SharedMemory, size: RingSize) -> Self {
        let number = size.rings as usize;
        Self {
            control,
            cursors,
            memory,
            size,
            positions: vec![0; number],
            complete: vec![Complete { position: 0, until: Mono(0) }; number],
            headers: vec![RecordHeader { kind: 0, cpu: 0, lost: 0, mono_ns: 0 }; number],
            next: BinaryHeap::with_capacity(number),
        }
    }

    /// How many records have found no room so far. The count wraps.
    pub fn lost(&self) -> u32 {
        self.control.word(offset_of!(RingControl, lost)).load(Ordering::Acquire) as u32
    }

    /// Sets how many unread bytes in a ring wake the reader.
    pub fn wake_at(&self, bytes: u64) {
        self.control.word(offset_of!(RingControl, wake_at)).store(bytes, Ordering::Release);
    }

    /// The size in bytes of this fraction of a ring.
    pub fn fraction(&self, of: u64) -> u64 {
        self.size.each() / of
    }

    /// Whether there is no record to read.
    pub fn is_empty(&self) -> bool {
        (0..self.positions.len()).all(|ring| matches!(self.record(ring), Ok(None)))
    }

    /// Up to when everything that was recorded can be delivered now. Read it before [`poll`](Self::poll).
    ///
    /// A program may be suspended while it writes a record: by an interrupt, and by the scheduler from Linux 7.1 on. Records
    /// behind that one are complete and cannot be read yet, so that later ones of their sockets wait as well.
    pub fn complete_until(&mut self) -> Mono {
        // Read before the first ring is.
        let now = Mono(clock::now().0.saturating_sub(SKEW_NS));
        (0..self.complete.len()).map(|ring| self.ring_complete_until(ring, now)).min().unwrap_or(now)
    }

    fn ring_complete_until(&mut self, ring: usize, now: Mono) -> Mono {
        let reserved = ring * size_of::<Cursor>() + offset_of!(Cursor, reserved);
        let reserved = self.cursors.word(reserved).load(Ordering::Acquire);
        let Complete { mut position, mut until } = self.complete[ring];
        loop {
            // A room is reserved before the time is read.
            if position >= reserved {
                until = now;
                break;
            }
            match self.mark(ring, position).map(checked) {
                Some(Some(length)) => position += length as u64,
                // Still being written.
                None => break,
                // Whoever reads it there reports the corrupt ring.
                Some(None) => {
                    until = now;
                    break;
                }
            }
        }
        self.complete[ring] = Complete { position, until };
        until
    }

    /// Delivers the records that the rings hold, in the order of time, at most `max` of them and none that is younger than
    /// `until`.
    ///
    /// # Errors
    /// A ring is corrupt. The records before the bad one have been delivered.
    pub fn poll(
        &mut self,
        until: Mono,
        max: usize,
        mut each: impl FnMut(RecordHeader, &[u8]) -> ControlFlow<()>,
    ) -> Result<Poll, CorruptRing> {
        let mut poll = Poll::default();
        let polled = self.poll_into(&mut poll, until, max, &mut each);
        if poll.delivered > 0 {
            self.release();
        }
        polled.map(|()| poll)
    }

    /// Shows the records that such a poll would deliver. They stay in the rings.
    ///
    /// # Errors
    /// As for [`poll`](Self::poll).
    pub fn peek(
        &mut self,
        until: Mono,
        max: usize,
        mut each: impl FnMut(RecordHeader, &[u8]),
    ) -> Result<(), CorruptRing> {
        let positions = self.positions.clone();
        let peeked = self.poll_into(&mut Poll::default(), until, max, &mut |header, record| {
            each(header, record);
            ControlFlow::Continue(())
        });
        self.positions = positions;
        peeked
    }

    fn poll_into(
        &mut self,
        poll: &mut Poll,
        until: Mono,
        max: usize,
        each: &mut impl FnMut(RecordHeader, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), CorruptRing> {
        let mut next = std::mem::take(&mut self.next);
        next.clear();
        let walked = self.walk(poll, &mut next, until, max, each);
        self.next = next;
        walked
    }

    fn walk(
        &mut self,
        poll: &mut Poll,
        next: &mut BinaryHeap<Reverse<(Mono, usize)>>,
        until: Mono,
        max: usize,
        each: &mut impl FnMut(RecordHeader, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), CorruptRing> {
        for ring in 0..self.positions.len() {
            next.extend(self.time_of_next(ring)?.map(|time| Reverse((time, ring))));
        }
        while let Some(mut first) = next.peek_mut() {
            let Reverse((time, ring)) = *first;
            if time > until || poll.delivered == max || poll.is_stopped {
                poll.next = Some(time);
                break;
            }
            let Some(record) = self.record(ring)? else { break };
            poll.is_stopped = each(self.headers[ring], record).is_break();
            poll.delivered += 1;
            self.positions[ring] += (size_of::<Mark>() + record.len()) as u64;
            match self.time_of_next(ring)? {
                Some(time) => first.0.0 = time,
                None => drop(PeekMut::pop(first)),
            }
        }
        Ok(())
    }

    /// Returns the room of the delivered records to the writers.
    fn release(&self) {
        for (ring, position) in self.positions.iter().enumerate() {
            let consumed = ring * size_of::<Cursor>() + offset_of!(Cursor, consumed);
            self.cursors.word(consumed).store(*position, Ordering::Release);
        }
    }

    /// Parses the header of a ring's next record and returns its time.
    fn time_of_next(&mut self, ring: usize) -> Result<Option<Mono>, CorruptRing> {
        // `record` returns no record that is shorter than a header.
        let Some(header) = self.record(ring)?.and_then(peek::header) else { return Ok(None) };
        self.headers[ring] = header;
        Ok(Some(Mono(header.mono_ns)))
    }

    /// Where a position of a ring is in the memory.
    fn offset(&self, ring: usize, position: u64) -> usize {
        let (chunk, at) = locate(position, self.size.chunks);
        let chunk = ring * self.size.chunks as usize + chunk as usize;
        chunk * CHUNK_STRIDE as usize + at as usize
    }

    /// The length in the mark at a position, if it is written.
    fn mark(&self, ring: usize, position: u64) -> Option<usize> {
        let mark = Mark(self.memory.word(self.offset(ring, position)).load(Ordering::Acquire));
        mark.length_at(position).map(usize::from)
    }

    /// A ring's next record.
    fn record(&self, ring: usize) -> Result<Option<&[u8]>, CorruptRing> {
        let position = self.positions[ring];
        let Some(length) = self.mark(ring, position) else { return Ok(None) };
        let offset = self.offset(ring, position);
        // The length comes from memory that another process may write: it is checked against the longest record, and the
        // record against the mapping.
        let bytes = checked(length)
            .and_then(|length| self.memory.bytes(offset + size_of::<Mark>(), length - size_of::<Mark>()));
        let Some(bytes) = bytes else { return Err(CorruptRing { cpu: ring, position, length }) };
        #[expect(unsafe_code, reason = "the record is in memory shared with the kernel")]
        // SAFETY: within the mapping, which lives as long as `self`. The mark says that the record is complete, and no
        // program writes there before `release` returns its room, for which `self` must be borrowed again.
        Ok(Some(unsafe { &*bytes }))
    }
}

/// Maps the first `length` bytes of the array of this name.
fn map(ebpf: &Ebpf, name: &'static str, length: usize) -> Result<SharedMemory, LiveError> {
    let Some(Map::Array(map)) = ebpf.map(name) else { return Err(LiveError::NoPart(name)) };
    SharedMemory::map(map.fd(), length).map_err(LiveError::Ring)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::FileExt as _};

    use probe_ebpf::{KIND_TRANSITION, TransitionRecord};
    use zerocopy::{FromZeros as _, IntoBytes as _};

    use super::*;

    const SIZE: RingSize = RingSize { rings: 2, chunks: 2 };
    const LENGTH: usize = size_of::<Mark>() + size_of::<TransitionRecord>();

    /// Rings in ordinary memory, and the file that holds their chunks.
    fn rings() -> (Rings, File) {
        let [(control, _), (cursors, _), (memory, file)] = Rings::lengths(SIZE).map(|length| {
            let file = tempfile::tempfile().unwrap();
            file.set_len(length as u64).unwrap();
            (SharedMemory::map(&file, length).unwrap(), file)
        });
        (Rings::new(control, cursors, memory, SIZE), file)
    }

    /// Writes a record of this time to a ring, with a mark of this length.
    fn write(file: &File, ring: u64, position: u64, mono_ns: u64, length: u16) {
        let mut record = TransitionRecord::new_zeroed();
        record.header = RecordHeader { kind: KIND_TRANSITION, cpu: ring as u16, lost: 0, mono_ns };
        let (chunk, at) = locate(position, SIZE.chunks);
        let chunk = ring * u64::from(SIZE.chunks) + u64::from(chunk);
        let offset = chunk * u64::from(CHUNK_STRIDE) + u64::from(at);
        file.write_all_at(record.as_bytes(), offset + size_of::<Mark>() as u64).unwrap();
        file.write_all_at(&Mark::new(position, length).0.to_ne_bytes(), offset).unwrap();
    }

    fn poll(rings: &mut Rings) -> (Vec<u64>, Result<Poll, CorruptRing>) {
        let mut times = Vec::new();
        let until = rings.complete_until();
        let poll = rings.poll(until, usize::MAX, |header, record| {
            assert_eq!(record.len(), size_of::<TransitionRecord>());
            times.push(header.mono_ns);
            ControlFlow::Continue(())
        });
        (times, poll)
    }

    #[test]
    fn records_of_several_rings_are_delivered_in_the_order_of_time() {
        let (mut rings, file) = rings();
        for (ring, index, time) in [(0, 0, 10), (1, 0, 20), (0, 1, 30)] {
            write(&file, ring, index * LENGTH as u64, time, LENGTH as u16);
        }
        let (times, result) = poll(&mut rings);
        assert_eq!(times, [10, 20, 30]);
        assert_eq!(result, Ok(Poll { delivered: 3, ..Poll::default() }));
        assert_eq!(poll(&mut rings), (vec![], Ok(Poll::default())));
        let consumed = |ring: usize| {
            let offset = ring * size_of::<Cursor>() + offset_of!(Cursor, consumed);
            rings.cursors.word(offset).load(Ordering::Relaxed)
        };
        assert_eq!([consumed(0), consumed(1)], [2 * LENGTH as u64, LENGTH as u64]);
    }

    #[test]
    fn nothing_overtakes_what_is_behind_a_record_that_is_being_written() {
        let (mut rings, file) = rings();
        let reserve = |rings: &Rings, records: u64| {
            rings
                .cursors
                .word(offset_of!(Cursor, reserved))
                .store(records * LENGTH as u64, Ordering::Relaxed);
        };
        reserve(&rings, 1);
        write(&file, 0, 0, 10, LENGTH as u16);
        assert_eq!(poll(&mut rings).0, [10]);
        let later = clock::now().0 + 1;
        reserve(&rings, 3);
        write(&file, 0, 2 * LENGTH as u64, later + 1, LENGTH as u16);
        write(&file, 1, 0, later + 2, LENGTH as u16);
        // All of these times are in the past.
        while clock::now().0 <= later + 2 + SKEW_NS {}
        assert_eq!(poll(&mut rings), (vec![], Ok(Poll { next: Some(Mono(later + 2)), ..Poll::default() })));
        write(&file, 0, LENGTH as u64, later, LENGTH as u16);
        assert_eq!(poll(&mut rings).0, [later, later + 1, later + 2]);
    }

    #[test]
    fn a_forged_length_is_an_error_after_the_records_before_it() {
        for length in [1, 8, 16, 23, 25, 31, 257, 264, 4096, u16::MAX] {
            let (mut rings, file) = rings();
            write(&file, 1, 0, 10, LENGTH as u16);
            write(&file, 1, LENGTH as u64, 20, length);
            assert!(!rings.is_empty());
            let (times, result) = poll(&mut rings);
            let corrupt = CorruptRing { cpu: 1, position: LENGTH as u64, length: length.into() };
            assert_eq!((times, result), (vec![10], Err(corrupt)), "{length}");
            // Later polls fail as well, and the ring does not count as empty.
            assert!(poll(&mut rings).1.is_err() && !rings.is_empty());
        }
    }

    #[test]
    fn the_longest_record_fits_behind_the_last_position_of_a_ring() {
        let (mut rings, file) = rings();
        let last = u64::from(SIZE.chunks * CHUNK_SIZE) - size_of::<Mark>() as u64;
        rings.positions[1] = last;
        write(&file, 1, last, 10, MAX_RECORD as u16);
        let record = rings.record(1).unwrap().unwrap();
        assert_eq!(record.len(), MAX_RECORD as usize - size_of::<Mark>());
    }

    #[test]
    fn a_mark_of_an_earlier_round_is_no_record() {
        let (mut rings, file) = rings();
        write(&file, 0, 0, 10, LENGTH as u16);
        rings.positions[0] = u64::from(SIZE.chunks * CHUNK_SIZE);
        assert_eq!(rings.record(0), Ok(None));
    }
}
