//! The maps of what is remembered of each socket by itself, and of how many events were taken that the kernel passed over.

use core::ptr;

use aya_ebpf::{
    bindings::{
        BPF_F_CLONE, BPF_F_NO_PREALLOC, BPF_NOEXIST, BPF_SK_STORAGE_GET_F_CREATE,
        bpf_map_type::BPF_MAP_TYPE_SK_STORAGE,
    },
    helpers::generated::bpf_sk_storage_get,
    macros::map,
    maps::{LruHashMap, PerCpuArray},
};

use crate::stored::Stored;

/// How many events were taken on the BTF tracepoint that the kernel passed over, per CPU.
#[map]
static NESTED: PerCpuArray<i64> = PerCpuArray::with_max_entries(1, 0);

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
        let _ = BY_ADDRESS.insert(skaddr, NOTHING, BPF_NOEXIST.into());
    }
    stored_at(skaddr)
}

/// Counts so many more of them.
#[inline(always)]
pub fn count_nested(more: i64) {
    if let Some(count) = NESTED.get_ptr_mut(0) {
        // SAFETY: this CPU's own counter.
        unsafe { *count += more };
    }
}
