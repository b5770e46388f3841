//! Where the programs on the BTF tracepoints keep what is remembered of a socket: in a place of the table, or in the
//! socket's own storage where there is no place left.
//!
//! A place is left at the transition into CLOSE, after which no other event comes. A socket that its process still holds may
//! open again: of such a one everything goes into its storage, which stays as long as it does, unless the kernel counts its
//! connections itself. What is in storage is never moved back.

use crate::{
    maps::{stored, stored_or_new},
    report::is_remembered,
    stored::Stored,
    table,
};

/// What is remembered of the socket, if anything. `has_place`: whether it may have a place.
///
/// # Safety
/// `sk` is the tracepoint's own argument; here and below.
#[inline(always)]
pub unsafe fn kept(sk: *const u8, has_place: bool) -> Option<&'static mut Stored> {
    // SAFETY: the caller's promise.
    has_place.then(|| table::find(sk)).flatten().and_then(table::place).or_else(|| unsafe { stored(sk) })
}

/// The same, also of one that has just closed and has left its place.
///
/// # Safety
/// As above.
#[inline(always)]
pub unsafe fn last_kept(sk: *const u8) -> Option<&'static mut Stored> {
    // SAFETY: as above.
    unsafe { stored(sk) }
        .or_else(|| is_remembered().then(|| table::find_last(sk)).flatten().and_then(table::place))
}

/// What is remembered of a socket that opens: what is in its storage, or else nothing so far.
///
/// # Safety
/// As above. `takes_place`: whether it may have a place.
#[inline(always)]
pub unsafe fn keep(sk: *const u8, takes_place: bool) -> Option<&'static mut Stored> {
    // SAFETY: as above.
    unsafe {
        stored(sk).or_else(|| takes_place.then(|| table::take(sk)).flatten()).or_else(|| stored_or_new(sk))
    }
}

/// The socket is closed, and its process still holds it: the next opening will be another generation. `place`: the one that it
/// has had. `former`: as in [`Stored::outlive`]. Of a socket that is followed and has no place, all is in storage already, or
/// nothing is known.
///
/// # Safety
/// As above.
#[inline(always)]
pub unsafe fn keep_on(sk: *const u8, place: Option<u32>, former: u32) {
    let place = place.and_then(table::place);
    if place.is_none() && is_remembered() {
        return;
    }
    // SAFETY: as above.
    if let Some(stored) = unsafe { stored_or_new(sk) } {
        match place {
            Some(place) => stored.copy_from(place),
            None => stored.outlive(former),
        }
    }
}
