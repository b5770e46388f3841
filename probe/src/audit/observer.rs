//! What the kernel has reported so far, for steps that wait for it.

use std::{
    collections::HashMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::model::Transition;

/// What lets the reports of a namespace come, or no more: a host may have far more than anybody could read.
pub trait NetnsFilter: Send + Sync {
    /// Lets those of this one come.
    ///
    /// # Errors
    /// It cannot, in words.
    fn open(&self, netns: u32) -> Result<(), String>;

    /// Lets them come no more.
    fn shut(&self, netns: u32);
}

/// The transitions of the namespaces that behaviours play in. Fed by whoever reads the kernel's reports, on another
/// thread.
pub struct Observer {
    gate: Box<dyn NetnsFilter>,
    seen: Mutex<HashMap<u32, Vec<Transition>>>,
    changed: Condvar,
}

impl Observer {
    /// One that has seen nothing yet.
    pub fn new(gate: impl NetnsFilter + 'static) -> Self {
        Self { gate: Box::new(gate), seen: Mutex::default(), changed: Condvar::new() }
    }

    /// Takes the transitions of a namespace from now on.
    ///
    /// # Errors
    /// The gate's.
    pub fn watch(&self, netns: u32) -> Result<(), String> {
        // Whatever is there was left by a play that broke off, in a namespace that had this number before.
        self.lock().insert(netns, Vec::new());
        self.gate.open(netns)
    }

    /// A transition was reported. One of a namespace that nobody plays in is passed over: `false`.
    pub fn saw(&self, transition: &Transition) -> bool {
        let mut all = self.lock();
        let Some(seen) = transition.netns.and_then(|netns| all.get_mut(&netns)) else { return false };
        seen.push(transition.clone());
        self.changed.notify_all();
        true
    }

    /// Waits until what was reported of these namespaces is as asked for; `false` at the deadline.
    pub fn wait(
        &self,
        netns: &[u32],
        deadline: Instant,
        mut enough: impl FnMut(&[Transition]) -> bool,
    ) -> bool {
        let mut seen = self.lock();
        loop {
            if enough(&of(&seen, netns)) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            seen = self.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Returns everything reported of these namespaces, in its order, and watches them no more.
    pub fn take(&self, netns: &[u32]) -> Vec<Transition> {
        let mut seen = self.lock();
        let all = of(&seen, netns);
        for netns in netns {
            self.gate.shut(*netns);
            seen.remove(netns);
        }
        all
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Vec<Transition>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of(seen: &HashMap<u32, Vec<Transition>>, netns: &[u32]) -> Vec<Transition> {
    let mut all: Vec<Transition> =
        netns.iter().filter_map(|netns| seen.get(netns)).flatten().cloned().collect();
    all.sort_by_key(|transition| transition.seq);
    all
}
