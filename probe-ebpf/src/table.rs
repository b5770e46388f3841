//! The table of socket states, allocated when the programs are loaded.
//!
//! A socket's own storage is allocated and freed with it, which costs more than everything else that the programs do. The
//! table is set-associative: a socket's address selects a set, whose tags share one cache line, and one exchange of a tag
//! takes a slot. Where all slots of a set are taken, the socket's own storage replaces it (`socket_storage.rs`).

use core::arch::asm;

use aya_ebpf::{macros::map, maps::Array};
use probe_ebpf::TABLE_WAYS;

use crate::{
    kernel_memory::number,
    socket_state::{SocketState, SocketStatePtr},
};

const WAYS: usize = TABLE_WAYS as usize;

/// The addresses of the sockets that have the slots of a set; 0 for a slot that was never taken.
type Tags = [u64; WAYS];

/// In a tag: the socket has released its slot. Its state is readable until another socket takes the slot.
const RELEASED: u64 = 1;

#[map]
static TAGS: Array<Tags> = Array::with_max_entries(1, 0);

/// By set and way.
#[map]
static SLOTS: Array<SocketState> = Array::with_max_entries(TABLE_WAYS, 0);

/// The base-2 logarithm of the number of sets.
#[unsafe(no_mangle)]
static TABLE_SET_BITS: u32 = 0;

/// The number of the socket's slot, if it has one.
#[inline(always)]
pub fn find(sk: *const u8) -> Option<u32> {
    let set = Set::of(number(sk))?;
    Some(set.slot_number(set.first_zero(|tag| tag ^ set.sk)?))
}

/// The number of the socket's slot, also where it has released the slot and no other socket has taken it.
#[inline(always)]
pub fn find_released(sk: *const u8) -> Option<u32> {
    let set = Set::of(number(sk))?;
    Some(set.slot_number(set.first_zero(|tag| (tag & !RELEASED) ^ set.sk)?))
}

/// The state in the slot of this number.
#[inline(always)]
pub fn slot(number: u32) -> Option<SocketStatePtr> {
    // SAFETY: a value of the map.
    SLOTS.get_ptr_mut(number).and_then(|state| unsafe { SocketStatePtr::new(state) })
}

/// Takes a slot for a socket that opens: the one that a socket at this address had, or else a free one. `None` where no
/// slot is free, or another CPU has just taken it.
#[inline(always)]
pub fn take(sk: *const u8) -> Option<SocketStatePtr> {
    let set = Set::of(number(sk))?;
    let way = set
        .first_zero(|tag| (tag & !RELEASED) ^ set.sk)
        // Never taken, or released.
        .or_else(|| set.first_zero(|tag| ((tag & RELEASED) ^ RELEASED) * tag))?;
    let tag = set.tag(way);
    let is_free = tag == 0 || tag & RELEASED != 0 || tag == set.sk;
    if is_free && set.exchange(way, tag) {
        slot(set.slot_number(way)).map(SocketStatePtr::clear)
    } else {
        None
    }
}

/// Releases a slot to the next socket that needs one.
#[inline(always)]
pub fn release(slot: u32) {
    if let Some(tags) = TAGS.get_ptr_mut(slot / TABLE_WAYS) {
        // SAFETY: within the set. Until this store the slot belongs to the socket, and no other CPU changes the tag.
        unsafe {
            let tag = tags.cast::<u64>().add(slot as usize % WAYS);
            tag.write_volatile(tag.read_volatile() | RELEASED);
        }
    }
}

/// The set that a socket's address selects.
struct Set {
    sk: u64,
    number: u32,
    tags: *mut u64,
}

impl Set {
    #[inline(always)]
    fn of(sk: u64) -> Option<Self> {
        // SAFETY: a valid static. Volatile, or the compiler would use the initial value as a constant.
        let bits = unsafe { (&raw const TABLE_SET_BITS).read_volatile() };
        // Sockets are in slabs, so that the lowest bits of their addresses are always the same. A multiplication by 2^32
        // divided by the golden ratio spreads the others (Fibonacci hashing).
        let number = ((sk >> 6) as u32).wrapping_mul(0x9e37_79b1) >> (32 - bits);
        Some(Self { sk, number, tags: TAGS.get_ptr_mut(number)?.cast() })
    }

    #[inline(always)]
    fn tag(&self, way: usize) -> u64 {
        // SAFETY: within the set. Volatile: other CPUs take and release slots.
        unsafe { self.tags.add(way).read_volatile() }
    }

    /// The first way for whose tag `of` returns 0. Without a branch for each way, which the verifier would follow
    /// separately.
    #[inline(always)]
    fn first_zero(&self, of: impl Fn(u64) -> u64) -> Option<usize> {
        let (mut way, mut all_before) = (0, 1);
        for at in 0..WAYS {
            all_before *= is_nonzero(of(self.tag(at)));
            way += all_before;
        }
        (way < WAYS as u64).then_some(way as usize)
    }

    /// Writes the socket's address over `tag`; false where the tag has changed since it was read.
    #[inline(always)]
    fn exchange(&self, way: usize, tag: u64) -> bool {
        let found: u64;
        // SAFETY: within the set. Inline assembly, since Rust has no compare-and-exchange for this target.
        unsafe {
            asm!(
                "r0 = cmpxchg_64({tags} + 0, r0, {sk})",
                inout("r0") tag => found,
                tags = in(reg) self.tags.add(way),
                sk = in(reg) self.sk,
            );
        }
        found == tag
    }

    #[inline(always)]
    fn slot_number(&self, way: usize) -> u32 {
        self.number * TABLE_WAYS + way as u32
    }
}

/// 1, or 0 for 0. In assembly, since the compiler would make a branch of it.
#[inline(always)]
fn is_nonzero(number: u64) -> u64 {
    let mut bits = number;
    // SAFETY: changes registers only.
    unsafe {
        asm!(
            "{negated} = {bits}",
            "{negated} = -{negated}",
            "{bits} |= {negated}",
            "{bits} >>= 63",
            bits = inout(reg) bits,
            negated = out(reg) _,
        );
    }
    bits
}
