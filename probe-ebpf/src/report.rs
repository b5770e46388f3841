//! From a transition to its record: none, one of its own, or one for the whole connection at its close.

use aya_log_ebpf::debug;
use probe_ebpf::{
    ClosedRecord, KIND_CLOSED, KIND_IN_CALL, KIND_OPENED, KIND_SUMMARY, KIND_TRANSITION, OWNER_EXACT,
    OWNER_UNKNOWN, OpenedRecord, SummaryRecord, TransitionRecord,
};

use crate::{
    config, filter,
    record::{fill, fill_caller, fill_counters, fill_in_call},
    ring::emit,
    select,
    socket_state::SocketStatePtr,
    stack, task,
    tcp_state::{CLOSE, LISTEN, SYN_RECV, TransitionKind, is_segment_driven},
    tracking::TrackedTransition,
};

/// Handles a transition.
#[inline(always)]
pub fn handle<T: TrackedTransition>(transition: &mut T) {
    let is_segment_driven = is_segment_driven(transition.old_state(), transition.new_state());
    // Not with a filter: it would double the paths on which the verifier follows the filter's code.
    if is_segment_driven && !config::has_filter() {
        report_segment(transition);
        return;
    }
    transition.load();
    let kind = if is_segment_driven {
        TransitionKind::Segment
    } else {
        TransitionKind::of(transition.old_state(), transition.new_state())
    };
    track(transition, kind);
    report(transition, kind);
}

/// Handles a segment-driven transition where there is no filter: half of all transitions. It has a short path of its
/// own, since the cost of a run is above all the amount of code that it executes, which is cold in the cache each time.
/// It does not read the task, which the segment merely interrupted.
#[inline(always)]
fn report_segment<T: TrackedTransition>(transition: &T) {
    if config::summaries() {
        if let Some(state) = transition.state() {
            state.enter(transition);
        }
        return;
    }
    // SAFETY: a reserved record.
    emit(
        T::WRITERS,
        #[inline(always)]
        |record| unsafe { fill_segment(transition, None, record) },
    );
}

/// Reports the transition if the filter selects it. The state is looked up once more: the verifier would follow each path
/// on which it was found or created.
#[inline(always)]
fn report<T: TrackedTransition>(transition: &T, kind: TransitionKind) {
    if !select::passes(transition) {
        return;
    }
    let state = || {
        let has_state =
            config::tracks_sockets() || matches!(kind, TransitionKind::Open | TransitionKind::Child);
        if has_state { transition.state() } else { None }
    };
    // Until the reader is ready, it looks for a transition of its own socket.
    if config::summaries() && !filter::passes_all() {
        // A listener has no summary, nor has a socket that is destroyed after its close.
        if kind == TransitionKind::Close
            && transition.old_state() != LISTEN
            && transition.old_state() != CLOSE
        {
            let state = state();
            emit(T::WRITERS, |record| fill_summary(transition, state, record));
            return;
        }
        // Where children do not inherit the owner here, the reader must know the listeners.
        if T::INHERITS_OWNER || !is_of_listener(transition) {
            return;
        }
    }
    let state = state();
    match kind {
        TransitionKind::Open | TransitionKind::Child => {
            emit(T::WRITERS, |record| fill_opened(transition, state, record));
        }
        TransitionKind::Close => {
            emit(T::WRITERS, |record| fill_closed(transition, state, record, KIND_CLOSED));
        }
        TransitionKind::Segment => {
            // SAFETY: a reserved record.
            emit(T::WRITERS, |record| unsafe { fill_segment(transition, state, record) });
        }
        TransitionKind::InCall => {
            emit(T::WRITERS, |record| unsafe {
                // SAFETY: a reserved record.
                fill_in_call(transition, state, record, KIND_IN_CALL);
                stack::add_in_call(transition, &raw mut (*record).transition);
            });
        }
    }
}

/// Whether a listener opens or closes.
#[inline(always)]
fn is_of_listener<T: TrackedTransition>(transition: &T) -> bool {
    transition.new_state() == LISTEN || (transition.old_state(), transition.new_state()) == (LISTEN, CLOSE)
}

/// Updates the socket's state.
///
/// Where only transitions are reported, the state holds what a record cannot contain: the owner of a listener, for its
/// children, and the generation of a socket that outlives its connection, unless the kernel counts that. To create a
/// state costs more than anything else here, so a connect and the transitions after it create none.
#[inline(always)]
fn track<T: TrackedTransition>(transition: &T, kind: TransitionKind) {
    match kind {
        TransitionKind::Open => {
            let creates = !T::INHERITS_OWNER || config::tracks_sockets() || transition.new_state() == LISTEN;
            let state = if creates { transition.state_or_new() } else { transition.state() };
            if let Some(state) = state {
                state.open(transition);
            }
        }
        TransitionKind::Child => transition.track_child(),
        _ if config::tracks_sockets() => {
            if let Some(state) = transition.state() {
                state.enter_in_call(transition);
            }
        }
        TransitionKind::Close | TransitionKind::Segment | TransitionKind::InCall => {}
    }
    if kind == TransitionKind::Close && transition.old_state() != CLOSE {
        transition.track_close();
    }
}

/// # Safety
/// `record` is a reserved record.
#[inline(always)]
unsafe fn fill_segment<T: TrackedTransition>(
    transition: &T,
    state: Option<SocketStatePtr>,
    record: *mut TransitionRecord,
) {
    // SAFETY: the caller's promise.
    unsafe {
        fill(transition, state, record, KIND_TRANSITION);
        stack::add_segment(transition, record);
    }
}

#[inline(always)]
fn fill_opened<T: TrackedTransition>(
    transition: &T,
    state: Option<SocketStatePtr>,
    record: *mut OpenedRecord,
) {
    // SAFETY: a reserved record.
    unsafe {
        fill(transition, state, &raw mut (*record).transition, KIND_OPENED);
        let is_child = transition.old_state() == LISTEN || transition.new_state() == SYN_RECV;
        if !is_child {
            (*record).transition.syscall = transition.task().syscall();
        }
        if let Some(state) = state {
            state.copy_to_opened(record);
        } else {
            let is_callers = !is_child && !transition.task().is_kernel_thread();
            (*record).known = if is_callers { OWNER_EXACT } else { OWNER_UNKNOWN };
            (*record).generation = transition.disconnects() + 1;
            (*record).owner_cgroup = if is_callers { task::cgroup() } else { 0 };
        }
        if state.is_none() || (*record).known == OWNER_UNKNOWN {
            transition.task().write(&raw mut (*record).owner);
        }
        stack::add_opened(transition, &raw mut (*record).transition);
        debug!(
            transition.context(),
            "opened: cookie {} generation {}",
            (*record).transition.cookie,
            (*record).generation
        );
    }
}

#[inline(always)]
fn fill_closed<T: TrackedTransition>(
    transition: &T,
    state: Option<SocketStatePtr>,
    record: *mut ClosedRecord,
    kind: u16,
) {
    // SAFETY: a reserved record, and the tracepoint's own socket.
    unsafe {
        fill(transition, state, &raw mut (*record).transition, kind);
        (*record).transition.flags |= transition.reset_flags((*record).transition.error, state);
        fill_counters::<T::Access>(record, transition.tcp_sock());
        let is_explained = stack::is_explained(record);
        fill_caller(transition, record, is_explained);
        stack::add_closed(transition, record, is_explained);
    }
}

#[inline(always)]
fn fill_summary<T: TrackedTransition>(
    transition: &T,
    state: Option<SocketStatePtr>,
    record: *mut SummaryRecord,
) {
    // SAFETY: a reserved record.
    unsafe {
        fill_closed(transition, state, &raw mut (*record).closed, KIND_SUMMARY);
        if let Some(state) = state {
            state.copy_to_summary(record);
            return;
        }
        (*record).opened_ns = 0;
        (*record).established_ns = 0;
        (*record).path = 0;
        (*record).path_length = 0;
        (*record).first_port = 0;
        (*record).has_gap = 0;
        (*record).known = OWNER_UNKNOWN;
        (*record).generation = 0;
        (*record).owner_cgroup = 0;
        task::copy_record(&raw mut (*record).owner, &raw const (*record).closed.task);
    }
}
