//! From a transition to what is told of it: nothing, a record of its own, or the connection's at its end.

use aya_log_ebpf::debug;
use probe_ebpf::{
    ClosedRecord, KIND_CALLED, KIND_CLOSED, KIND_OPENED, KIND_SUMMARY, KIND_TRANSITION, OWNER_EXACT,
    OWNER_UNKNOWN, OpenedRecord, SummaryRecord,
};

use crate::{
    edge::Edge,
    filter, modes,
    record::{copy_task, fill, fill_called, fill_caller, fill_counters},
    ring::emit,
    state::{CLOSE, LISTEN, SYN_RECV, Shape, is_plain},
    stored::Stored,
    task,
};

/// Takes a transition.
#[inline(always)]
pub fn report<E: Edge>(edge: &mut E) {
    let is_plain = is_plain(edge.old_state(), edge.new_state());
    // With a filter it would be one more way on which the verifier follows that.
    if is_plain && !filter::is_active() {
        pass(edge);
        return;
    }
    edge.load();
    let shape = if is_plain { Shape::Plain } else { Shape::of(edge.old_state(), edge.new_state()) };
    remember(edge, shape);
    tell(edge, shape);
}

/// Takes one in the middle that a segment brought about, as half of all are, where there is no filter. Its way is its own, and
/// short: what a run costs is above all how much code it leads through, which is cold each time. Whom the segment interrupted
/// is not asked for.
#[inline(always)]
fn pass<E: Edge>(edge: &E) {
    if modes::summaries() {
        if let Some(stored) = edge.stored() {
            stored.enter(edge);
        }
        return;
    }
    // SAFETY: a reserved record.
    emit(
        E::WRITERS,
        #[inline(always)]
        |record| unsafe { fill(edge, None, record, KIND_TRANSITION) },
    );
}

/// Tells of the transition what is asked for. What is remembered is looked up anew: the verifier would follow each way on
/// which that was found or made.
#[inline(always)]
fn tell<E: Edge>(edge: &E, shape: Shape) {
    if !filter::passes(edge) {
        return;
    }
    let stored = || {
        let is_kept = is_remembered() || matches!(shape, Shape::Call | Shape::Child);
        if is_kept { edge.stored().map(|stored| &*stored) } else { None }
    };
    // Until the reader is ready, it looks for a transition of its own.
    if modes::summaries() && !filter::is_open() {
        // A listener has no summary, nor has what is destroyed after its end.
        if shape == Shape::Closed && edge.old_state() != LISTEN && edge.old_state() != CLOSE {
            let stored = stored();
            emit(E::WRITERS, |record| summary(edge, stored, record));
            return;
        }
        // Where the kernel does not know whose its children are, the reader must know the listeners.
        if E::INHERITS || !is_listeners(edge) {
            return;
        }
    }
    let stored = stored();
    match shape {
        Shape::Call | Shape::Child => emit(E::WRITERS, |record| opened(edge, stored, record)),
        Shape::Closed => emit(E::WRITERS, |record| closed(edge, stored, record, KIND_CLOSED)),
        // SAFETY: a reserved record.
        Shape::Plain => emit(E::WRITERS, |record| unsafe { fill(edge, stored, record, KIND_TRANSITION) }),
        // SAFETY: a reserved record.
        Shape::Called => emit(E::WRITERS, |record| unsafe { fill_called(edge, stored, record, KIND_CALLED) }),
    }
}

/// Whether a listener comes or goes.
#[inline(always)]
fn is_listeners<E: Edge>(edge: &E) -> bool {
    edge.new_state() == LISTEN || (edge.old_state(), edge.new_state()) == (LISTEN, CLOSE)
}

/// Whether sockets are followed from transition to transition.
#[inline(always)]
pub fn is_remembered() -> bool {
    modes::summaries() || filter::is_active()
}

/// Brings what is remembered of the socket up to date.
///
/// Where nobody asks for more than transitions, that is only what a record does not say by itself: whose the children
/// of a listener are, and of a socket that outlives its connection that it had one, unless the kernel counts that. To
/// remember anything is the dearest part, so that a connect and the transitions after it leave nothing behind.
#[inline(always)]
fn remember<E: Edge>(edge: &E, shape: Shape) {
    match shape {
        Shape::Call => {
            let is_kept = !E::INHERITS || is_remembered() || edge.new_state() == LISTEN;
            let stored = if is_kept { edge.stored_or_new() } else { edge.stored() };
            if let Some(stored) = stored {
                stored.open(edge);
            }
        }
        Shape::Child => edge.remember_child(),
        _ if is_remembered() => {
            if let Some(stored) = edge.stored() {
                stored.step(edge);
            }
        }
        Shape::Closed | Shape::Plain | Shape::Called => {}
    }
    if shape == Shape::Closed && edge.old_state() != CLOSE {
        edge.remember_end();
    }
}

#[inline(always)]
fn opened<E: Edge>(edge: &E, stored: Option<&Stored>, record: *mut OpenedRecord) {
    // SAFETY: a reserved record.
    unsafe {
        fill(edge, stored, &raw mut (*record).transition, KIND_OPENED);
        let is_child = edge.old_state() == LISTEN || edge.new_state() == SYN_RECV;
        if !is_child {
            (*record).transition.syscall = edge.task().syscall();
        }
        if let Some(stored) = stored {
            stored.copy_to_opened(record);
        } else {
            let is_callers = !is_child && !edge.task().is_kernel_thread();
            (*record).known = if is_callers { OWNER_EXACT } else { OWNER_UNKNOWN };
            (*record).generation = edge.former_connections() + 1;
            (*record).owner_cgroup = if is_callers { task::cgroup() } else { 0 };
        }
        if stored.is_none() || (*record).known == OWNER_UNKNOWN {
            edge.task().write(&raw mut (*record).owner);
        }
        debug!(
            edge.context(),
            "opened: cookie {} generation {}",
            (*record).transition.cookie,
            (*record).generation
        );
    }
}

#[inline(always)]
fn closed<E: Edge>(edge: &E, stored: Option<&Stored>, record: *mut ClosedRecord, kind: u16) {
    // SAFETY: a reserved record, and the tracepoint's own socket.
    unsafe {
        fill(edge, stored, &raw mut (*record).transition, kind);
        (*record).transition.flags |= edge.resets((*record).transition.error, stored);
        fill_caller(edge, record);
        fill_counters::<E::Access>(record, edge.tcp_sock());
    }
}

#[inline(always)]
fn summary<E: Edge>(edge: &E, stored: Option<&Stored>, record: *mut SummaryRecord) {
    // SAFETY: a reserved record.
    unsafe {
        closed(edge, stored, &raw mut (*record).closed, KIND_SUMMARY);
        if let Some(stored) = stored {
            stored.copy_to_summary(record);
            return;
        }
        (*record).opened_ns = 0;
        (*record).established_ns = 0;
        (*record).path = 0;
        (*record).path_length = 0;
        (*record).first_port = 0;
        (*record).broken = 0;
        (*record).known = OWNER_UNKNOWN;
        (*record).generation = 0;
        (*record).owner_cgroup = 0;
        copy_task(&raw mut (*record).owner, &raw const (*record).closed.task);
    }
}
