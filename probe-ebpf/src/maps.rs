//! The maps: the ring, what did not fit into it, and what is remembered of each socket.

use core::{arch::asm, ptr};

use aya_ebpf::{
    bindings::{
        BPF_F_CLONE, BPF_F_NO_PREALLOC, BPF_NOEXIST, BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP,
        BPF_RB_NO_WAKEUP, BPF_SK_STORAGE_GET_F_CREATE, bpf_map_type::BPF_MAP_TYPE_SK_STORAGE,
    },
    helpers::generated::{bpf_ringbuf_query, bpf_sk_storage_get},
    macros::map,
    maps::{Array, LruHashMap, PerCpuArray, RingBuf},
};

use probe_ebpf::{RING_BYTES, RecordHeader};

use crate::stored::Stored;

/// How full the ring may get before the reader is woken out of its turn. Below that the reader's own timer finds the
/// records: a wake-up is an interrupt to itself for the CPU that runs the event, and the dearest part.
#[unsafe(no_mangle)]
static WAKEUP_BYTES: u64 = RING_BYTES as u64 / 4;

/// How far beyond that records wake the reader: several, lest other CPUs' records step over the threshold unseen, and
/// not all, lest a reader that cannot keep up costs the host the more.
const WAKEUP_SPAN: u64 = 4096;

#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// Records that found no room. One count for all CPUs, which is in every record: a socket's next event may run on
/// another CPU, and has to show that one is missing before it.
#[map]
static LOST: Array<u64> = Array::with_max_entries(1, 0);

/// How often the second program stood in on the BTF tracepoint, per CPU.
#[map]
static NESTED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// What the classic backend remembers, by the socket's address. The map forgets what was opened longest ago.
#[map]
static BY_ADDRESS: LruHashMap<u64, Stored> = LruHashMap::with_max_entries(1 << 16, 0);

/// A map with socket-local storage, in the layout that the loader reads from BTF. Written out because
/// aya's own type cannot be given `BPF_F_CLONE`, with which the kernel copies a listener's entry into
/// each child before the child's first event.
#[repr(C)]
struct SocketStorage {
    r#type: *const [i32; BPF_MAP_TYPE_SK_STORAGE as usize],
    map_flags: *const [i32; (BPF_F_NO_PREALLOC | BPF_F_CLONE) as usize],
    key: *const i32,
    value: *const Stored,
}

// SAFETY: the pointers are never followed; their types are the map's definition.
unsafe impl Sync for SocketStorage {}

#[unsafe(link_section = ".maps")]
#[unsafe(no_mangle)]
static SOCKETS: SocketStorage =
    SocketStorage { r#type: ptr::null(), map_flags: ptr::null(), key: ptr::null(), value: ptr::null() };

/// Reserves room for a record, lets `fill` write it, and submits it; counts it as lost where there is
/// no room.
#[inline(always)]
pub fn emit<T: 'static>(fill: impl FnOnce(*mut T)) {
    submit(fill, wakeup);
}

/// The same, and wakes the reader at once: what it wants to ask the host about this record is soon gone.
#[inline(always)]
pub fn emit_now<T: 'static>(fill: impl FnOnce(*mut T)) {
    submit(fill, || BPF_RB_FORCE_WAKEUP.into());
}

#[inline(always)]
fn submit<T: 'static>(fill: impl FnOnce(*mut T), wakeup: impl FnOnce() -> u64) {
    let Some(counter) = LOST.get_ptr_mut(0) else { return };
    // Before the place is reserved: what is lost after that is not before this record.
    // SAFETY: an aligned word of the map.
    let lost = unsafe { counter.read_volatile() } as u32;
    let flags = wakeup();
    let Some(mut entry) = EVENTS.reserve::<T>(0) else {
        count_lost();
        return;
    };
    let record = entry.as_mut_ptr();
    fill(record);
    // SAFETY: a reserved record, and every record begins with its header.
    unsafe { (*record.cast::<RecordHeader>()).lost = lost };
    entry.submit(flags);
}

/// Counts a record that found no room.
#[inline(always)]
pub fn count_lost() {
    let Some(counter) = LOST.get_ptr_mut(0) else { return };
    // Other CPUs count as well. Rust has no atomic addition for this target, though BPF does.
    // SAFETY: an aligned word of the map.
    unsafe {
        asm!("lock *(u64 *)({counter} + 0) += {one}", counter = in(reg) counter, one = in(reg) 1_u64);
    }
}

/// The flags with which a record is submitted that is yet to be reserved: those that fill the ring up to the threshold
/// wake the reader.
#[inline(always)]
fn wakeup() -> u64 {
    // SAFETY: a valid static; the ring is a map of the type asked for.
    let (threshold, waiting) = unsafe {
        (
            (&raw const WAKEUP_BYTES).read_volatile(),
            bpf_ringbuf_query((&raw const EVENTS).cast_mut().cast(), BPF_RB_AVAIL_DATA.into()),
        )
    };
    let wakes = (threshold..threshold + WAKEUP_SPAN).contains(&waiting);
    (if wakes { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP }).into()
}

/// What is stored with the socket, if anything.
///
/// # Safety
/// `sk` is the tracepoint's own argument.
#[inline(always)]
pub unsafe fn stored(sk: *const u8) -> Option<&'static mut Stored> {
    // SAFETY: the caller's promise; the kernel checks the socket's reference count itself.
    unsafe { storage(sk, 0).as_mut() }
}

/// What is stored with the socket, zeroed where there was nothing; `None` without memory.
///
/// # Safety
/// `sk` is the tracepoint's own argument.
#[inline(always)]
pub unsafe fn stored_or_new(sk: *const u8) -> Option<&'static mut Stored> {
    // SAFETY: as above.
    unsafe { storage(sk, BPF_SK_STORAGE_GET_F_CREATE.into()).as_mut() }
}

#[inline(always)]
unsafe fn storage(sk: *const u8, flags: u64) -> *mut Stored {
    let map = (&raw const SOCKETS).cast_mut().cast();
    // SAFETY: the map and its value's type belong together.
    unsafe { bpf_sk_storage_get(map, sk.cast_mut().cast(), ptr::null_mut(), flags).cast() }
}

/// What is remembered of the socket at this address, if anything.
#[inline(always)]
pub fn stored_at(skaddr: u64) -> Option<&'static mut Stored> {
    // SAFETY: a value of the map; a socket's transitions run under its lock.
    BY_ADDRESS.get_ptr_mut(skaddr).and_then(|stored| unsafe { stored.as_mut() })
}

/// The same, and room for it where nothing is.
#[inline(always)]
pub fn stored_or_new_at(skaddr: u64) -> Option<&'static mut Stored> {
    static NOTHING: Stored = Stored::NOTHING;
    if stored_at(skaddr).is_none() {
        // Where another CPU is faster, its entry stays.
        let _ = BY_ADDRESS.insert(skaddr, &NOTHING, BPF_NOEXIST.into());
    }
    stored_at(skaddr)
}

/// Counts that the second program stood in.
#[inline(always)]
pub fn count_nested() {
    if let Some(count) = NESTED.get_ptr_mut(0) {
        // SAFETY: this CPU's own counter.
        unsafe { *count += 1 };
    }
}
