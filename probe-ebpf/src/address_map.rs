//! The states of sockets by the address of their `struct sock`, for the classic tracepoint.

use aya_ebpf::{bindings::BPF_NOEXIST, macros::map, maps::LruHashMap};

use crate::socket_state::{SocketState, SocketStatePtr};

/// By the socket's address. The map evicts the state that was used least recently.
#[map]
static ADDRESS_STATES: LruHashMap<u64, SocketState> = LruHashMap::with_max_entries(1 << 16, 0);

/// The state of the socket at this address, if there is any.
#[inline(always)]
pub fn find(skaddr: u64) -> Option<SocketStatePtr> {
    // SAFETY: a value of the map.
    ADDRESS_STATES.get_ptr_mut(skaddr).and_then(|state| unsafe { SocketStatePtr::new(state) })
}

/// The state of the socket at this address, empty where there was none; `None` where the map is full.
#[inline(always)]
pub fn find_or_insert(skaddr: u64) -> Option<SocketStatePtr> {
    static EMPTY: SocketState = SocketState::EMPTY;
    if find(skaddr).is_none() {
        // Does not replace an entry that another CPU has inserted since.
        let _ = ADDRESS_STATES.insert(skaddr, EMPTY, BPF_NOEXIST.into());
    }
    find(skaddr)
}
