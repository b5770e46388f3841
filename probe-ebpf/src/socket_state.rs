//! The state that the programs keep of a socket from its opening on: its owner, the filter's decision, and for
//! `--connections` the connection's path.

use core::ptr::NonNull;

use aya_ebpf::helpers::bpf_ktime_get_ns;
use probe_ebpf::{
    Field, OWNER_EXACT, OWNER_LISTENER, OWNER_UNKNOWN, OpenedRecord, PATH_STATES, SummaryRecord, TaskRecord,
};

use crate::{
    config,
    filter::{self, Decision},
    task,
    tcp_state::{CLOSE, CLOSE_WAIT, ESTABLISHED, FIN_WAIT1, LAST_ACK, SYN_RECV, SYN_SENT},
    transition::Transition,
};

/// Bit 1 of `sk_shutdown`: this side has shut down sending.
const SEND_SHUTDOWN: u8 = 2;

/// The layout of the state, in a slot of the table, in the socket's own storage, or in the map by address.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SocketState {
    /// A listener's cookie, by which its children recognise it; 0 for other sockets.
    cookie: u64,
    /// The owner's cgroup.
    cgroup: u64,
    /// The time of the first transition.
    opened_ns: u64,
    /// The time of ESTABLISHED; 0 before.
    established_ns: u64,
    /// As in [`SummaryRecord`].
    path: u64,
    /// The owner.
    owner: TaskRecord,
    /// How many times the socket was opened.
    generation: u32,
    /// As in [`SummaryRecord`].
    path_length: u16,
    /// `inet_sport` at the first transition.
    first_port: u16,
    /// How the owner is known: `OWNER_*`.
    known: u8,
    /// The filter's decision on the owner.
    owner_decision: Decision,
    /// The filter's decision on owner and endpoints together.
    decision: Decision,
    /// The socket was shut down for sending before it was established: the kernel sends its FIN later, in no call.
    has_deferred_fin: bool,
    /// An RST arrived after the last transition into CLOSE.
    rst_received: bool,
    /// The TCP state that the last transition entered.
    tcp_state: u8,
    /// A transition left another state than the one before it had entered: the kernel skipped an event in between.
    has_gap: bool,
    /// As in `TransitionRecord`.
    synacks: u8,
}

/// `known` as a byte.
const EXACT: u8 = OWNER_EXACT as u8;
const LISTENER: u8 = OWNER_LISTENER as u8;
const UNKNOWN: u8 = OWNER_UNKNOWN as u8;

/// The number of words in a [`SocketState`]. It is copied and cleared word by word: a copy of the whole would become a
/// call to memcpy.
const WORDS: usize = size_of::<SocketState>() / size_of::<u64>();

impl SocketState {
    /// The state of a socket of which nothing is known: all zero.
    pub const EMPTY: Self = Self {
        cookie: 0,
        cgroup: 0,
        opened_ns: 0,
        established_ns: 0,
        path: 0,
        owner: TaskRecord { tgid: 0, uid: 0, comm: [0; 16] },
        generation: 0,
        path_length: 0,
        first_port: 0,
        known: UNKNOWN,
        owner_decision: Decision::Undecided,
        decision: Decision::Undecided,
        has_deferred_fin: false,
        rst_received: false,
        tcp_state: 0,
        has_gap: false,
        synacks: 0,
    };
}

/// A pointer to a socket's state in a map.
///
/// It is no reference, since the memory is shared with other CPUs. The socket lock orders the accesses of a socket's own
/// transitions. But a child's first transition reads its listener's state without the listener's lock, a slot may be
/// taken by another socket while a program still reads it, and the map by address recycles entries at any time. So each
/// access is one volatile load or store of a field, like the kernel's `READ_ONCE` and `WRITE_ONCE`, and assumes nothing
/// of the memory between two of them. All writers store valid values of each field's type, and single bytes are not torn,
/// so that any value that a load returns is valid.
#[derive(Clone, Copy)]
pub struct SocketStatePtr(NonNull<SocketState>);

/// Loads a field.
macro_rules! get {
    ($state:expr, $field:ident) => {
        // SAFETY: within a map value, which stays mapped during the program's run; see `SocketStatePtr`.
        #[allow(unused_unsafe, reason = "some uses are in an unsafe block already")]
        unsafe {
            (&raw const (*$state.0.as_ptr()).$field).read_volatile()
        }
    };
}

/// Stores a field.
macro_rules! set {
    ($state:expr, $field:ident, $value:expr) => {{
        let value = $value;
        // SAFETY: within a map value, which stays mapped during the program's run; see `SocketStatePtr`.
        unsafe { (&raw mut (*$state.0.as_ptr()).$field).write_volatile(value) }
    }};
}

impl SocketStatePtr {
    /// The state at this address; `None` for null.
    ///
    /// # Safety
    /// `state` is null or a map value, which the kernel keeps mapped while the program runs: array elements as long as the
    /// map exists, those of other maps until an RCU grace period has passed.
    #[inline(always)]
    pub unsafe fn new(state: *mut SocketState) -> Option<Self> {
        NonNull::new(state).map(Self)
    }

    /// Clears the state that another socket left.
    #[inline(always)]
    pub fn clear(self) -> Self {
        let words: *mut u64 = self.0.as_ptr().cast();
        for word in 0..WORDS {
            // SAFETY: within the state, and all zero is `EMPTY`. Volatile, or this would become a call to memset.
            unsafe { words.add(word).write_volatile(0) };
        }
        self
    }

    /// Copies all of another state into this one.
    #[inline(always)]
    pub fn copy_from(self, other: Self) {
        let (to, from): (*mut u64, *const u64) = (self.0.as_ptr().cast(), other.0.as_ptr().cast());
        for word in 0..WORDS {
            // SAFETY: within both states.
            unsafe { to.add(word).write_volatile(from.add(word).read_volatile()) };
        }
    }

    /// Marks a listener's state with the listener's cookie.
    #[inline(always)]
    pub fn mark_listener(self, cookie: u64) {
        set!(self, cookie, cookie);
    }

    /// Copies the owner of the listener with this cookie. No owner where `listener` has become another socket's state.
    #[inline(always)]
    pub fn inherit_owner(self, listener: Self, cookie: u64) {
        if listener.is_listeners(cookie) {
            set!(self, cgroup, get!(listener, cgroup));
            // SAFETY: both are map values; `owner` is aligned to words.
            unsafe { task::copy_record(self.owner(), listener.owner()) };
            set!(self, known, get!(listener, known));
            set!(self, owner_decision, get!(listener, owner_decision));
            // A closing listener has released its slot. The socket that takes it clears the cookie first.
            if !listener.is_listeners(cookie) {
                self.forget_owner();
            }
        }
    }

    #[inline(always)]
    fn is_listeners(self, cookie: u64) -> bool {
        cookie != 0 && get!(self, cookie) == cookie
    }

    /// The caller of `connect` or `listen` opens the socket, perhaps not for the first time.
    #[inline(always)]
    pub fn open<T: Transition>(self, transition: &T) {
        let mut generation = get!(self, generation);
        if generation == 0 {
            generation = transition.disconnects();
        }
        set!(self, generation, generation + 1);
        self.start(transition);
        self.claim(transition);
    }

    /// A listener's child is created, of which the state so far is the listener's owner.
    #[inline(always)]
    pub fn open_child<T: Transition>(self, transition: &T, generation: u32) {
        set!(self, generation, generation);
        if get!(self, known) == EXACT {
            set!(self, known, LISTENER);
        }
        self.start(transition);
    }

    #[inline(always)]
    fn start<T: Transition>(self, transition: &T) {
        set!(self, decision, Decision::Undecided);
        set!(self, has_deferred_fin, false);
        set!(self, rst_received, false);
        set!(self, tcp_state, transition.new_state());
        set!(self, has_gap, false);
        if config::summaries() {
            // SAFETY: the helper takes no argument.
            set!(self, opened_ns, unsafe { bpf_ktime_get_ns() });
            set!(self, established_ns, 0);
            set!(self, path, u64::from(transition.old_state()) | u64::from(transition.new_state()) << 4);
            set!(self, path_length, 2);
            set!(self, synacks, 0);
            set!(self, first_port, transition.local_port());
        }
    }

    /// Forgets the owner.
    #[inline(always)]
    pub fn forget_owner(self) {
        set!(self, known, UNKNOWN);
        set!(self, cgroup, 0);
        set!(self, owner_decision, Decision::Undecided);
    }

    /// The socket's connection has ended, and another may follow. `earlier` is the number of connections before it.
    #[inline(always)]
    pub fn count_connection(self, earlier: u32) {
        if get!(self, generation) == 0 {
            set!(self, generation, earlier + 1);
        }
    }

    /// The generation of the next opening.
    #[inline(always)]
    pub fn next_generation(self) -> u32 {
        get!(self, generation) + 1
    }

    /// Records a transition after the first one.
    #[inline(always)]
    pub fn enter<T: Transition>(self, transition: &T) {
        let (old, new) = (transition.old_state(), transition.new_state());
        if (old, new) == (SYN_RECV, ESTABLISHED) {
            set!(self, has_deferred_fin, is_send_shutdown(transition));
        }
        set!(self, has_gap, get!(self, has_gap) | (get!(self, tcp_state) != old));
        set!(self, tcp_state, new);
        if config::summaries() && old == SYN_RECV {
            set!(self, synacks, transition.synacks());
        }
        if config::summaries() && new != CLOSE {
            if new == ESTABLISHED {
                // SAFETY: the helper takes no argument.
                set!(self, established_ns, unsafe { bpf_ktime_get_ns() });
            }
            let length = get!(self, path_length);
            if length < PATH_STATES {
                set!(self, path, get!(self, path) | u64::from(new) << ((4 * u32::from(length)) & 63));
            }
            set!(self, path_length, length.saturating_add(1));
        }
    }

    /// Records a transition after the first one that may run in a call on the socket, and its caller.
    #[inline(always)]
    pub fn enter_in_call<T: Transition>(self, transition: &T) {
        self.enter(transition);
        // Whoever acts on an accepted socket owns it now: perhaps a worker of the process that listens.
        if get!(self, known) == EXACT || !self.is_owners_call(transition) {
            return;
        }
        if transition.task().process() != 0 {
            let before = get!(self, owner_decision);
            self.claim(transition);
            // A socket that matched continues to match, whoever owns it now: the reader decides likewise. Where the
            // decision on the earlier owner was open, only the reader knows it.
            let after = get!(self, owner_decision);
            if before == Decision::Match || (before, after) == (Decision::Undecided, Decision::NoMatch) {
                set!(self, owner_decision, before);
            } else if get!(self, decision) == Decision::NoMatch {
                set!(self, decision, Decision::Undecided);
            }
        }
    }

    /// The filter's decision on the owner.
    #[inline(always)]
    pub fn owner_decision(self) -> Decision {
        get!(self, owner_decision)
    }

    /// The filter's decision on the socket.
    #[inline(always)]
    pub fn decision(self) -> Decision {
        get!(self, decision)
    }

    /// Stores the filter's decision on the socket.
    #[inline(always)]
    pub fn set_decision(self, decision: Decision) {
        set!(self, decision, decision);
    }

    /// An RST arrived for the socket.
    #[inline(always)]
    pub fn mark_reset(self) {
        set!(self, rst_received, true);
    }

    /// Whether an RST arrived since the socket opened.
    #[inline(always)]
    pub fn is_reset(self) -> bool {
        get!(self, rst_received)
    }

    /// Whether the transition certainly runs in a call on this socket.
    #[inline(always)]
    fn is_owners_call<T: Transition>(self, transition: &T) -> bool {
        match (transition.old_state(), transition.new_state()) {
            (ESTABLISHED, FIN_WAIT1) => !get!(self, has_deferred_fin),
            (SYN_RECV, FIN_WAIT1) | (CLOSE_WAIT, LAST_ACK) => true,
            (SYN_SENT | SYN_RECV | ESTABLISHED | CLOSE_WAIT, CLOSE) => {
                is_send_shutdown(transition) && transition.field::<u32>(Field::Error) == Some(0)
            }
            _ => false,
        }
    }

    /// Makes the current task the owner. A kernel thread acts on behalf of a process: an owner that is known stays.
    #[inline(always)]
    fn claim<T: Transition>(self, transition: &T) {
        if transition.task().is_kernel_thread() {
            if get!(self, known) != EXACT {
                set!(self, known, UNKNOWN);
                set!(self, owner_decision, Decision::Undecided);
            }
            return;
        }
        set!(self, known, EXACT);
        set!(self, cgroup, task::cgroup());
        transition.task().write(self.owner());
        // SAFETY: the owner was written above, under the socket's lock.
        set!(self, owner_decision, unsafe { filter::match_owner(self.owner()) });
    }

    #[inline(always)]
    fn owner(self) -> *mut TaskRecord {
        // SAFETY: a field of the state.
        unsafe { &raw mut (*self.0.as_ptr()).owner }
    }

    /// Copies the owner into a record.
    ///
    /// # Safety
    /// `record` is a reserved record.
    #[inline(always)]
    pub unsafe fn copy_to_opened(self, record: *mut OpenedRecord) {
        // SAFETY: the caller's promise.
        unsafe {
            (*record).known = get!(self, known).into();
            (*record).generation = get!(self, generation);
            (*record).owner_cgroup = get!(self, cgroup);
            task::copy_record(&raw mut (*record).owner, self.owner());
        }
    }

    /// Copies the owner and the path into a record.
    ///
    /// # Safety
    /// `record` is a reserved record.
    #[inline(always)]
    pub unsafe fn copy_to_summary(self, record: *mut SummaryRecord) {
        // SAFETY: the caller's promise.
        unsafe {
            (*record).closed.transition.synacks = get!(self, synacks);
            (*record).opened_ns = get!(self, opened_ns);
            (*record).established_ns = get!(self, established_ns);
            (*record).path = get!(self, path);
            (*record).path_length = get!(self, path_length).into();
            (*record).first_port = get!(self, first_port);
            (*record).has_gap = get!(self, has_gap).into();
            (*record).known = get!(self, known).into();
            (*record).generation = get!(self, generation);
            (*record).owner_cgroup = get!(self, cgroup);
            task::copy_record(&raw mut (*record).owner, self.owner());
        }
    }
}

/// Whether this side has shut down sending.
#[inline(always)]
fn is_send_shutdown<T: Transition>(transition: &T) -> bool {
    transition.field::<u8>(Field::Shutdown).unwrap_or(0) & SEND_SHUTDOWN != 0
}
