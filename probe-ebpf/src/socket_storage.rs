//! Where the programs on the BTF tracepoints store a socket's state: in a slot of the table, or in the socket's own
//! storage (`BPF_MAP_TYPE_SK_STORAGE`) where no slot is free.
//!
//! A socket releases its slot at the transition into CLOSE, after which it has no other event. A socket that its process
//! still holds may open again: its state moves to its own storage, which lives as long as the socket, unless the kernel
//! counts the socket's connections itself. State never moves from the storage back to the table.

use core::ptr;

use aya_ebpf::{
    bindings::{
        BPF_F_CLONE, BPF_F_NO_PREALLOC, BPF_SK_STORAGE_GET_F_CREATE, bpf_map_type::BPF_MAP_TYPE_SK_STORAGE,
    },
    helpers::generated::bpf_sk_storage_get,
};

use crate::{
    config,
    socket_state::{SocketState, SocketStatePtr},
    table,
};

/// A map with socket-local storage, in the layout that the loader reads from BTF. Written out because aya's own type
/// cannot set `BPF_F_CLONE`, with which the kernel copies a listener's entry into each child before the child's first
/// event.
#[repr(C)]
struct SkStorage {
    r#type: *const [i32; BPF_MAP_TYPE_SK_STORAGE as usize],
    map_flags: *const [i32; (BPF_F_NO_PREALLOC | BPF_F_CLONE) as usize],
    key: *const i32,
    value: *const SocketState,
}

// SAFETY: nothing follows the pointers; their types define the map.
unsafe impl Sync for SkStorage {}

#[unsafe(link_section = ".maps")]
#[unsafe(no_mangle)]
static SK_STORAGE: SkStorage =
    SkStorage { r#type: ptr::null(), map_flags: ptr::null(), key: ptr::null(), value: ptr::null() };

/// The state in the socket's own storage, if there is any.
///
/// # Safety
/// `sk` is the tracepoint's own argument; here and below.
#[inline(always)]
pub unsafe fn in_storage(sk: *const u8) -> Option<SocketStatePtr> {
    // SAFETY: the caller's promise.
    unsafe { get_storage(sk, 0) }
}

/// The state in the socket's own storage, empty where there was none; `None` without memory.
///
/// # Safety
/// As above.
#[inline(always)]
pub unsafe fn in_storage_or_new(sk: *const u8) -> Option<SocketStatePtr> {
    // SAFETY: the caller's promise.
    unsafe { get_storage(sk, BPF_SK_STORAGE_GET_F_CREATE.into()) }
}

#[inline(always)]
unsafe fn get_storage(sk: *const u8, flags: u64) -> Option<SocketStatePtr> {
    let map = (&raw const SK_STORAGE).cast_mut().cast();
    // SAFETY: the map and its value's type belong together. The kernel checks the socket's reference count itself.
    unsafe {
        SocketStatePtr::new(bpf_sk_storage_get(map, sk.cast_mut().cast(), ptr::null_mut(), flags).cast())
    }
}

/// The socket's state, if there is any. `may_have_slot`: whether to look in the table.
///
/// # Safety
/// As above.
#[inline(always)]
pub unsafe fn find(sk: *const u8, may_have_slot: bool) -> Option<SocketStatePtr> {
    // SAFETY: the caller's promise.
    may_have_slot
        .then(|| table::find(sk))
        .flatten()
        .and_then(table::slot)
        .or_else(|| unsafe { in_storage(sk) })
}

/// The socket's state, if there is any, also that of one which has just closed and has released its slot.
///
/// # Safety
/// As above.
#[inline(always)]
pub unsafe fn find_released(sk: *const u8) -> Option<SocketStatePtr> {
    // SAFETY: as above.
    unsafe { in_storage(sk) }.or_else(|| {
        config::tracks_sockets().then(|| table::find_released(sk)).flatten().and_then(table::slot)
    })
}

/// The state of a socket that opens: that in its storage, or else an empty one. `takes_slot`: whether it may take a slot.
///
/// # Safety
/// As above.
#[inline(always)]
pub unsafe fn find_or_new(sk: *const u8, takes_slot: bool) -> Option<SocketStatePtr> {
    // SAFETY: as above.
    unsafe {
        in_storage(sk)
            .or_else(|| takes_slot.then(|| table::take(sk)).flatten())
            .or_else(|| in_storage_or_new(sk))
    }
}

/// Keeps the generation of a socket whose connection has ended while its process still holds it. `slot` is the slot that
/// it has had, `earlier` as in [`SocketStatePtr::count_connection`]. The state of a tracked socket without a slot is in
/// its storage already, or nothing is known of it.
///
/// # Safety
/// As above.
#[inline(always)]
pub unsafe fn keep_generation(sk: *const u8, slot: Option<u32>, earlier: u32) {
    let slot = slot.and_then(table::slot);
    if slot.is_none() && config::tracks_sockets() {
        return;
    }
    // SAFETY: as above.
    if let Some(state) = unsafe { in_storage_or_new(sk) } {
        match slot {
            Some(slot) => state.copy_from(slot),
            None => state.count_connection(earlier),
        }
    }
}
