//! The filter's maps, and its decision by each criterion.
//!
//! The decision is conservative: where a value is not known yet (a port that the kernel has not chosen, the owner of a
//! socket that was open before the trace) the socket passes, and the reader decides. The programs drop nothing that the
//! reader would show.

use aya_ebpf::{
    helpers::generated::bpf_get_current_ancestor_cgroup_id,
    macros::map,
    maps::{Array, HashMap, LpmTrie, lpm_trie::Key},
};
use probe_ebpf::{FilterFlags, PORT_SETS, PORT_WORDS, PortSet, TaskRecord};

use crate::{
    config::filters_by,
    protocol::{AF_INET6, Address, IPPROTO_MPTCP},
};

/// How many levels of the cgroup hierarchy are compared, from the root down. For a deeper cgroup, the reader compares the
/// path.
const CGROUP_LEVELS: i32 = 16;

/// The selected processes, and where descendants are selected too, those that they start.
#[map]
pub static PIDS: HashMap<u32, u8> = HashMap::with_max_entries(1, 0);

#[map]
static COMMS: HashMap<[u8; 16], u8> = HashMap::with_max_entries(1, 0);

#[map]
static CGROUPS: HashMap<u64, u8> = HashMap::with_max_entries(1, 0);

#[map]
static NAMESPACES: HashMap<u32, u8> = HashMap::with_max_entries(1, 0);

/// By [`PortSet::bit`].
#[map]
static PORTS: Array<u64> = Array::with_max_entries(PORT_SETS * PORT_WORDS, 0);

/// IPv6 networks; an IPv4 network is v4-mapped.
#[map]
static NETWORKS: LpmTrie<Address, u8> = LpmTrie::with_max_entries(1, 0);

/// One entry, not 0 until the reader is ready: every transition passes until then.
#[map]
static PASS_ALL: Array<u32> = Array::with_max_entries(1, 0);

/// The filter's decision on a socket, or on one criterion.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Decision {
    /// A value that decides is not known yet.
    Undecided = 0,
    /// The filter selects it.
    Match = 1,
    /// The filter rejects it.
    NoMatch = 2,
}

use Decision::{Match, NoMatch, Undecided};

impl Decision {
    #[inline(always)]
    fn of(matches: bool) -> Self {
        if matches { Match } else { NoMatch }
    }

    #[inline(always)]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (NoMatch, _) | (_, NoMatch) => NoMatch,
            (Match, Match) => Match,
            _ => Undecided,
        }
    }

    #[inline(always)]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Match, _) | (_, Match) => Match,
            (NoMatch, NoMatch) => NoMatch,
            _ => Undecided,
        }
    }
}

/// Whether every transition passes, since the reader is not ready.
#[inline(always)]
pub fn passes_all() -> bool {
    // SAFETY: a word of the map, which the reader writes at any time: hence volatile.
    PASS_ALL.get_ptr(0).is_some_and(|pass_all| unsafe { pass_all.read_volatile() } != 0)
}

/// The decision on a socket that the current task owns. `owner` is the current task's record.
///
/// # Safety
/// `owner` is filled in, and nothing writes to it during the call.
#[inline(always)]
pub unsafe fn match_owner(owner: *const TaskRecord) -> Decision {
    let mut decision = Match;
    // SAFETY: the caller's promise; the keys outlive the lookups.
    unsafe {
        if filters_by(FilterFlags::PIDS) {
            decision = decision.and(Decision::of(PIDS.get((*owner).tgid).is_some()));
        }
        if filters_by(FilterFlags::COMMS) {
            decision = decision.and(Decision::of(COMMS.get((*owner).comm).is_some()));
        }
    }
    if filters_by(FilterFlags::CGROUPS) {
        decision = decision.and(match_cgroup());
    }
    decision
}

/// The decision by the current task's cgroup and its ancestors.
#[inline(always)]
fn match_cgroup() -> Decision {
    for level in 0..CGROUP_LEVELS {
        // SAFETY: the helper takes a number.
        let id = unsafe { bpf_get_current_ancestor_cgroup_id(level) };
        if id == 0 {
            return NoMatch;
        }
        // SAFETY: the key outlives the lookup.
        if unsafe { CGROUPS.get(id) }.is_some() {
            return Match;
        }
    }
    Undecided
}

/// The decision by the protocol.
#[inline(always)]
pub fn match_protocol(protocol: u16) -> Decision {
    let criterion = if protocol == IPPROTO_MPTCP { FilterFlags::MPTCP } else { FilterFlags::TCP };
    Decision::of(filters_by(criterion))
}

/// The decision by the address family.
#[inline(always)]
pub fn match_family(family: u16) -> Decision {
    let criterion = if family == AF_INET6 { FilterFlags::IPV6 } else { FilterFlags::IPV4 };
    Decision::of(filters_by(criterion))
}

/// The decision by the network namespace.
#[inline(always)]
pub fn match_netns(netns: Option<u32>) -> Decision {
    // SAFETY: the key outlives the lookup.
    let is_selected = |netns: u32| unsafe { NAMESPACES.get(netns) }.is_some();
    netns.map_or(Undecided, |netns| Decision::of(is_selected(netns)))
}

/// The decision by one port. 0 is a port that the kernel has not chosen yet, or has cleared.
#[inline(always)]
pub fn match_port(set: PortSet, port: u16) -> Decision {
    if port == 0 {
        return Undecided;
    }
    let (word, bit) = set.bit(port);
    // SAFETY: the reader has written these words before it attached the programs.
    Decision::of(PORTS.get(word).is_some_and(|ports| *ports & bit != 0))
}

/// The decision by one address. The unspecified address may still become any other.
#[inline(always)]
pub fn match_address(family: u16, address: Address) -> Decision {
    if address == [0; 4] {
        return Undecided;
    }
    let mapped = if family == AF_INET6 { address } else { [0, 0, 0xffff_u32.to_be(), address[0]] };
    Decision::of(NETWORKS.get(Key::new(128, mapped)).is_some())
}
