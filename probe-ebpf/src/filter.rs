//! Which sockets the reader asks for.
//!
//! Conservative: what cannot be known yet (a port before the kernel has picked it, the owner of a socket older
//! than the programs) passes, and the reader decides. Nothing that it would show is held back here.

use aya_ebpf::{
    helpers::generated::bpf_get_current_ancestor_cgroup_id,
    macros::map,
    maps::{Array, HashMap, LpmTrie, lpm_trie::Key},
};
use probe_ebpf::{Asked, Field, PORT_SETS, PORT_WORDS, PortSet, TaskRecord};

use crate::{
    edge::{Address, Edge},
    fields,
    modes::{self, asked},
    record::{AF_INET6, IPPROTO_MPTCP},
    state::SYN_SENT,
};

/// How many cgroups are looked at on the way down from the root. Of a deeper one, the reader knows the path.
const CGROUP_LEVELS: i32 = 16;

/// The processes asked for. Those that they start are added where descendants are asked for.
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

/// IPv6 networks; an IPv4 one is v4-mapped.
#[map]
static NETWORKS: LpmTrie<Address, u8> = LpmTrie::with_max_entries(1, 0);

/// One entry, set while the reader is not ready: everything passes until it is.
#[map]
static EVERYTHING: Array<u32> = Array::with_max_entries(1, 0);

/// What the filter makes of a socket.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// Not to be known yet.
    Undecided = 0,
    /// It is asked for.
    Fits = 1,
    /// It is not.
    Other = 2,
}

use Verdict::{Fits, Other, Undecided};

impl Verdict {
    #[inline(always)]
    fn of(fits: bool) -> Self {
        if fits { Fits } else { Other }
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Other, _) | (_, Other) => Other,
            (Fits, Fits) => Fits,
            _ => Undecided,
        }
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Fits, _) | (_, Fits) => Fits,
            (Other, Other) => Other,
            _ => Undecided,
        }
    }
}

#[inline(always)]
fn is_asked(kinds: u32) -> bool {
    asked() & kinds != 0
}

/// Whether owners are asked for.
#[inline(always)]
pub fn names_owners() -> bool {
    is_asked(Asked::OWNERS)
}

/// Whether owners are asked for by their names.
#[inline(always)]
pub fn names_comms() -> bool {
    is_asked(Asked::COMMS)
}

/// Whether sockets must be remembered from their opening on for the filter's sake.
#[inline(always)]
pub fn is_active() -> bool {
    asked() != 0
}

/// Whether everything passes for now.
#[inline(always)]
pub fn is_open() -> bool {
    // SAFETY: a word that the reader alone writes.
    EVERYTHING.get(0).is_some_and(|everything| *everything != 0)
}

/// Whether the transition is told.
#[inline(always)]
pub fn passes<E: Edge>(edge: &E) -> bool {
    if !is_active() || is_open() {
        return true;
    }
    let Some(stored) = edge.stored() else { return ends(edge) != Other };
    if stored.fits == Undecided {
        let owner = if names_owners() { stored.owner_fits } else { Fits };
        stored.fits = owner.and(ends(edge));
    }
    // The reader keeps what it was told of until it is told of its end.
    if stored.fits == Undecided && !modes::summaries() {
        stored.fits = Fits;
    }
    stored.fits != Other
}

/// What the current task, of which this is the record, makes of the sockets that it opens.
#[inline(always)]
pub fn current_task(task: &TaskRecord) -> Verdict {
    let mut fits = Fits;
    // SAFETY: keys that live as long as the calls.
    unsafe {
        if is_asked(Asked::PIDS) {
            fits = fits.and(Verdict::of(PIDS.get(task.tgid).is_some()));
        }
        if is_asked(Asked::COMMS) {
            fits = fits.and(Verdict::of(COMMS.get(task.comm).is_some()));
        }
    }
    if is_asked(Asked::CGROUPS) {
        fits = fits.and(cgroup());
    }
    fits
}

/// What the current task's cgroup, and those above it, make of what it opens.
#[inline(always)]
fn cgroup() -> Verdict {
    for level in 0..CGROUP_LEVELS {
        // SAFETY: takes a number.
        let id = unsafe { bpf_get_current_ancestor_cgroup_id(level) };
        if id == 0 {
            return Other;
        }
        // SAFETY: a key that lives as long as the call.
        if unsafe { CGROUPS.get(id) }.is_some() {
            return Fits;
        }
    }
    Undecided
}

/// What family, protocol, namespace, ports and addresses make of the socket.
#[inline(always)]
fn ends<E: Edge>(edge: &E) -> Verdict {
    let mut fits = Fits;
    if is_asked(Asked::TCP | Asked::MPTCP) {
        let protocol = if edge.protocol() == IPPROTO_MPTCP { Asked::MPTCP } else { Asked::TCP };
        fits = fits.and(Verdict::of(is_asked(protocol)));
    }
    if is_asked(Asked::IPV4 | Asked::IPV6) {
        let family = if edge.family() == AF_INET6 { Asked::IPV6 } else { Asked::IPV4 };
        fits = fits.and(Verdict::of(is_asked(family)));
    }
    if is_asked(Asked::NAMESPACES) {
        // SAFETY: a key that lives as long as the call.
        let is_named = |netns: u32| unsafe { NAMESPACES.get(netns) }.is_some();
        fits = fits.and(edge.netns().map_or(Undecided, |netns| Verdict::of(is_named(netns))));
    }
    if is_asked(Asked::LOCAL_PORTS) {
        fits = fits.and(port(PortSet::Local, chosen_port(edge)));
    }
    if is_asked(Asked::REMOTE_PORTS) {
        fits = fits.and(port(PortSet::Remote, edge.remote_port()));
    }
    if is_asked(Asked::PORTS) {
        let either = port(PortSet::Either, chosen_port(edge)).or(port(PortSet::Either, edge.remote_port()));
        fits = fits.and(either);
    }
    if is_asked(Asked::NETWORKS) {
        let family = edge.family();
        let (local, remote) = edge.addresses(family);
        fits = fits.and(network(family, local).or(network(family, remote)));
    }
    fits
}

/// The local port, where it is certain not to change any more.
#[inline(always)]
fn chosen_port<E: Edge>(edge: &E) -> u16 {
    let may_be_stale = edge.new_state() == SYN_SENT && fields::offset(Field::BoundPort).is_none();
    if may_be_stale { 0 } else { edge.local_port() }
}

/// A port that is 0 is not chosen yet, or cleared already.
#[inline(always)]
fn port(set: PortSet, port: u16) -> Verdict {
    if port == 0 {
        return Undecided;
    }
    let (word, bit) = set.bit(port);
    // SAFETY: words that the reader has written before the programs were attached.
    Verdict::of(PORTS.get(word).is_some_and(|ports| *ports & bit != 0))
}

/// An address that is unspecified may become any.
#[inline(always)]
fn network(family: u16, address: Address) -> Verdict {
    if address == [0; 4] {
        return Undecided;
    }
    let mapped = if family == AF_INET6 { address } else { [0, 0, 0xffff_u32.to_be(), address[0]] };
    Verdict::of(NETWORKS.get(Key::new(128, mapped)).is_some())
}
