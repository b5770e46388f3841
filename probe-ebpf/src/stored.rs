//! What is remembered of a socket from its opening on: its owner, what the filter makes of it, and, where
//! connections are told in one record, their course.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use probe_ebpf::{
    Field, OWNER_EXACT, OWNER_LISTENER, OWNER_UNKNOWN, OpenedRecord, PATH_STATES, SummaryRecord, TaskRecord,
};

use crate::{
    edge::Edge,
    filter::{self, Verdict},
    modes,
    record::copy_task,
    state::{CLOSE, CLOSE_WAIT, ESTABLISHED, FIN_WAIT1, LAST_ACK, SYN_RECV, SYN_SENT},
    task,
};

/// Bit 1 of `sk_shutdown`: our side will send no more.
const SEND_SHUTDOWN: u8 = 2;

/// Kept in a place of the table, in the socket's own storage, or by its address.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Stored {
    /// A listener's cookie, by which its children know that it is still the same; 0 otherwise.
    cookie: u64,
    /// The owner's cgroup.
    cgroup: u64,
    /// The first transition.
    opened_ns: u64,
    /// ESTABLISHED; 0 before.
    established_ns: u64,
    /// As in [`SummaryRecord`].
    path: u64,
    /// The owner.
    owner: TaskRecord,
    /// How often it was opened.
    generation: u32,
    /// As in [`SummaryRecord`].
    path_length: u16,
    /// `inet_sport` at the first transition.
    first_port: u16,
    /// `OWNER_*`
    known: u8,
    /// What the filter makes of the owner.
    pub owner_fits: Verdict,
    /// What it makes of owner and ends together.
    pub fits: Verdict,
    /// It was shut down for sending before it was established: its FIN goes out in nobody's call.
    deferred: bool,
    /// An RST came, and no transition into CLOSE since.
    rst_received: bool,
    /// The state that it was left in.
    state: u8,
    /// It left another state than it was left in: the kernel has passed over an event in between.
    broken: bool,
    padding: u8,
}

/// `known`, in its byte.
const EXACT: u8 = OWNER_EXACT as u8;
const LISTENER: u8 = OWNER_LISTENER as u8;
const UNKNOWN: u8 = OWNER_UNKNOWN as u8;

/// A [`Stored`] in words: copied by these, since a copy of it as a whole would become a call to memcpy.
type Words = [u64; size_of::<Stored>() / size_of::<u64>()];

impl Stored {
    /// Of a socket that nothing is known of.
    pub const NOTHING: Self = Self {
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
        owner_fits: Verdict::Undecided,
        fits: Verdict::Undecided,
        deferred: false,
        rst_received: false,
        state: 0,
        broken: false,
        padding: 0,
    };

    /// Another socket's, of which nothing is known.
    #[inline(always)]
    pub fn cleared(&mut self) -> &mut Self {
        let words: *mut u64 = (&raw mut *self).cast();
        for word in 0..size_of::<Words>() / size_of::<u64>() {
            // SAFETY: within it, and all of it zero is `NOTHING`. Volatile, or this would become a call to memset.
            unsafe { words.add(word).write_volatile(0) };
        }
        self
    }

    /// Takes over everything.
    #[inline(always)]
    pub fn copy_from(&mut self, other: &Self) {
        let (to, from): (*mut u64, *const u64) = ((&raw mut *self).cast(), (&raw const *other).cast());
        for word in 0..size_of::<Words>() / size_of::<u64>() {
            // SAFETY: within both.
            unsafe { to.add(word).write_volatile(from.add(word).read_volatile()) };
        }
    }

    /// Marks a listener by its cookie.
    #[inline(always)]
    pub fn mark_listener(&mut self, cookie: u64) {
        self.cookie = cookie;
    }

    /// Takes over the owner of the listener with this cookie; of nobody where `listener` has become another socket's.
    #[inline(always)]
    pub fn inherit(&mut self, listener: &Self, cookie: u64) {
        if listener.is_marked(cookie) {
            self.cgroup = listener.cgroup;
            // SAFETY: both are places of the table, or storage.
            unsafe { copy_task(&raw mut self.owner, &raw const listener.owner) };
            self.known = listener.known;
            self.owner_fits = listener.owner_fits;
            // A listener that is closing has left its place. Who takes it clears the cookie before anything else.
            if !listener.is_marked(cookie) {
                self.forget();
            }
        }
    }

    #[inline(always)]
    fn is_marked(&self, cookie: u64) -> bool {
        // SAFETY: a field. Volatile, since it may change at any time.
        cookie != 0 && unsafe { (&raw const self.cookie).read_volatile() } == cookie
    }

    /// The caller of `connect` or `listen` opens the socket, perhaps not for the first time.
    #[inline(always)]
    pub fn open<E: Edge>(&mut self, edge: &E) {
        if self.generation == 0 {
            self.generation = edge.former_connections();
        }
        self.generation += 1;
        self.begin(edge);
        self.claim(edge);
    }

    /// A listener's child appears, with what was remembered of the listener (see [`Edge::stored_for_child`]).
    #[inline(always)]
    pub fn adopt<E: Edge>(&mut self, edge: &E, generation: u32) {
        self.generation = generation;
        if self.known == EXACT {
            self.known = LISTENER;
        }
        self.begin(edge);
    }

    #[inline(always)]
    fn begin<E: Edge>(&mut self, edge: &E) {
        self.fits = Verdict::Undecided;
        self.deferred = false;
        self.rst_received = false;
        self.state = edge.new_state();
        self.broken = false;
        if modes::summaries() {
            // SAFETY: takes nothing.
            self.opened_ns = unsafe { bpf_ktime_get_ns() };
            self.established_ns = 0;
            self.path = u64::from(edge.old_state()) | u64::from(edge.new_state()) << 4;
            self.path_length = 2;
            self.first_port = edge.local_port();
        }
    }

    /// Nothing is remembered any more but how often a socket was opened at this address.
    #[inline(always)]
    pub fn forget(&mut self) {
        self.known = UNKNOWN;
        self.cgroup = 0;
        self.owner_fits = Verdict::Undecided;
    }

    /// The socket's connection has ended, and another may follow. `former`: how many it had had before.
    #[inline(always)]
    pub fn outlive(&mut self, former: u32) {
        if self.generation == 0 {
            self.generation = former + 1;
        }
    }

    /// The next such number.
    #[inline(always)]
    pub fn next_generation(&self) -> u32 {
        self.generation + 1
    }

    /// Takes in a transition after the first one.
    #[inline(always)]
    pub fn enter<E: Edge>(&mut self, edge: &E) {
        let (old, new) = (edge.old_state(), edge.new_state());
        if (old, new) == (SYN_RECV, ESTABLISHED) {
            self.deferred = shuts(edge);
        }
        self.broken |= self.state != old;
        self.state = new;
        if modes::summaries() && new != CLOSE {
            if new == ESTABLISHED {
                // SAFETY: takes nothing.
                self.established_ns = unsafe { bpf_ktime_get_ns() };
            }
            if self.path_length < PATH_STATES {
                self.path |= u64::from(new) << ((4 * u32::from(self.path_length)) & 63);
            }
            self.path_length = self.path_length.saturating_add(1);
        }
    }

    /// The same of one that may have run in a call on the socket.
    #[inline(always)]
    pub fn step<E: Edge>(&mut self, edge: &E) {
        self.enter(edge);
        // Whoever acts on an accepted socket has it now: a worker, perhaps, of the process that listens.
        if self.known == EXACT || !self.is_owners_call(edge) {
            return;
        }
        if edge.task().process() != 0 {
            let before = self.owner_fits;
            self.claim(edge);
            // A socket that was asked for stays so, whoever it has passed to: the reader holds it so, too. Of
            // one that passed undecided, the reader alone knows whether it was.
            if before == Verdict::Fits || (before, self.owner_fits) == (Verdict::Undecided, Verdict::Other) {
                self.owner_fits = before;
            } else if self.fits == Verdict::Other {
                self.fits = Verdict::Undecided;
            }
        }
    }

    /// An RST came for the socket.
    #[inline(always)]
    pub fn mark_reset(&mut self) {
        self.rst_received = true;
    }

    /// Whether one came since the socket opened.
    #[inline(always)]
    pub fn is_reset(&self) -> bool {
        self.rst_received
    }

    /// Whether the event certainly runs in a call on this very socket.
    #[inline(always)]
    fn is_owners_call<E: Edge>(&self, edge: &E) -> bool {
        match (edge.old_state(), edge.new_state()) {
            (ESTABLISHED, FIN_WAIT1) => !self.deferred,
            (SYN_RECV, FIN_WAIT1) | (CLOSE_WAIT, LAST_ACK) => true,
            (SYN_SENT | SYN_RECV | ESTABLISHED | CLOSE_WAIT, CLOSE) => {
                shuts(edge) && edge.field::<u32>(Field::Error) == Some(0)
            }
            _ => false,
        }
    }

    /// Makes the task on the CPU the owner. A kernel thread acts for somebody: where that is known it stays.
    #[inline(always)]
    fn claim<E: Edge>(&mut self, edge: &E) {
        if edge.task().is_kernel_thread() {
            if self.known != EXACT {
                self.known = UNKNOWN;
                self.owner_fits = Verdict::Undecided;
            }
            return;
        }
        self.known = EXACT;
        self.cgroup = task::cgroup();
        edge.task().write(&raw mut self.owner);
        self.owner_fits = filter::current_task(&self.owner);
    }

    /// Copies the owner into a record.
    ///
    /// # Safety
    /// `record` is a reserved record.
    #[inline(always)]
    pub unsafe fn copy_to_opened(&self, record: *mut OpenedRecord) {
        // SAFETY: the caller's promise.
        unsafe {
            (*record).known = self.known.into();
            (*record).generation = self.generation;
            (*record).owner_cgroup = self.cgroup;
            copy_task(&raw mut (*record).owner, &raw const self.owner);
        }
    }

    /// Copies everything into a record.
    ///
    /// # Safety
    /// `record` is a reserved record.
    #[inline(always)]
    pub unsafe fn copy_to_summary(&self, record: *mut SummaryRecord) {
        // SAFETY: the caller's promise.
        unsafe {
            (*record).opened_ns = self.opened_ns;
            (*record).established_ns = self.established_ns;
            (*record).path = self.path;
            (*record).path_length = self.path_length.into();
            (*record).first_port = self.first_port;
            (*record).broken = self.broken.into();
            (*record).known = self.known.into();
            (*record).generation = self.generation;
            (*record).owner_cgroup = self.cgroup;
            copy_task(&raw mut (*record).owner, &raw const self.owner);
        }
    }
}

/// Whether our side will send no more.
#[inline(always)]
fn shuts<E: Edge>(edge: &E) -> bool {
    edge.field::<u8>(Field::Shutdown).unwrap_or(0) & SEND_SHUTDOWN != 0
}
