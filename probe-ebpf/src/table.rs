//! The table: places for what is remembered of sockets, there from the start.
//!
//! A socket's own storage is allocated for it and freed after it, which is dearer than everything else that the programs
//! do. A place is found by the socket's address with a look at one cache line, and taken and left by a word in there. Where
//! there is none left, the socket's own storage stands in (`kept.rs`).

use core::arch::asm;

use aya_ebpf::{macros::map, maps::Array};
use probe_ebpf::TABLE_WAYS;

use crate::{access::number, stored::Stored};

const WAYS: usize = TABLE_WAYS as usize;

/// Whose the places of a set are: the sockets' addresses, and 0 where there never was one.
type Tags = [u64; WAYS];

/// In a tag: the socket has left its place. What is remembered of it can be read until another one comes.
const LEFT: u64 = 1;

#[map]
static TAGS: Array<Tags> = Array::with_max_entries(1, 0);

/// By set and way.
#[map]
static PLACES: Array<Stored> = Array::with_max_entries(TABLE_WAYS, 0);

/// How many sets there are, as a power of two.
#[unsafe(no_mangle)]
static SET_BITS: u32 = 0;

/// The number of the place of a socket that has one.
#[inline(always)]
pub fn find(sk: *const u8) -> Option<u32> {
    let set = Set::of(number(sk))?;
    Some(set.number_of(set.first(|tag| tag ^ set.sk)?))
}

/// The same, also where it has left the place and no other one has come.
#[inline(always)]
pub fn find_last(sk: *const u8) -> Option<u32> {
    let set = Set::of(number(sk))?;
    Some(set.number_of(set.first(|tag| (tag & !LEFT) ^ set.sk)?))
}

/// What is remembered there.
#[inline(always)]
pub fn place(number: u32) -> Option<&'static mut Stored> {
    // SAFETY: a value of the map, of a socket whose transitions run under its lock.
    PLACES.get_ptr_mut(number).and_then(|place| unsafe { place.as_mut() })
}

/// Takes a place for a socket that opens: the one that a socket at this address had, or else a free one. `None` where there
/// is none, or another CPU was faster.
#[inline(always)]
pub fn take(sk: *const u8) -> Option<&'static mut Stored> {
    let set = Set::of(number(sk))?;
    let way = set
        .first(|tag| (tag & !LEFT) ^ set.sk)
        // Nothing, or the mark of one who has left.
        .or_else(|| set.first(|tag| ((tag & LEFT) ^ LEFT) * tag))?;
    let tag = set.tag(way);
    let is_free = tag == 0 || tag & LEFT != 0 || tag == set.sk;
    if is_free && set.exchange(way, tag) { place(set.number_of(way)).map(Stored::cleared) } else { None }
}

/// Leaves a place to the next socket that needs one.
#[inline(always)]
pub fn leave(place: u32) {
    if let Some(tags) = TAGS.get_ptr_mut(place / TABLE_WAYS) {
        // SAFETY: within the set, and nobody else's as long as it is not left.
        unsafe {
            let tag = tags.cast::<u64>().add(place as usize % WAYS);
            tag.write_volatile(tag.read_volatile() | LEFT);
        }
    }
}

/// The places that a socket may have.
struct Set {
    sk: u64,
    number: u32,
    tags: *mut u64,
}

impl Set {
    #[inline(always)]
    fn of(sk: u64) -> Option<Self> {
        // SAFETY: a valid static. Volatile, or the compiler would take the initial value for good.
        let bits = unsafe { (&raw const SET_BITS).read_volatile() };
        // Sockets lie in slabs, so that the lowest bits are always the same. 2^32 divided by the golden ratio spreads the others.
        let number = ((sk >> 6) as u32).wrapping_mul(0x9e37_79b1) >> (32 - bits);
        Some(Self { sk, number, tags: TAGS.get_ptr_mut(number)?.cast() })
    }

    #[inline(always)]
    fn tag(&self, way: usize) -> u64 {
        // SAFETY: within the set. Volatile: other sockets come and go.
        unsafe { self.tags.add(way).read_volatile() }
    }

    /// The first way of whose tag this is 0. Without a branch for each, after which the verifier would go each one's way.
    #[inline(always)]
    fn first(&self, of: impl Fn(u64) -> u64) -> Option<usize> {
        let (mut way, mut all_before) = (0, 1);
        for at in 0..WAYS {
            all_before *= is_set(of(self.tag(at)));
            way += all_before;
        }
        (way < WAYS as u64).then_some(way as usize)
    }

    /// Puts the socket where `tag` is; not if that is not there any more.
    #[inline(always)]
    fn exchange(&self, way: usize, tag: u64) -> bool {
        let found: u64;
        // SAFETY: within the set. Rust has no such operation for this target, though BPF does.
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
    fn number_of(&self, way: usize) -> u32 {
        self.number * TABLE_WAYS + way as u32
    }
}

/// 1, or 0 of 0. The compiler would make a branch of it.
#[inline(always)]
fn is_set(number: u64) -> u64 {
    let mut bits = number;
    // SAFETY: changes registers.
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
