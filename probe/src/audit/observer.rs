//! What the kernel has reported so far, for steps that wait for it.

use std::{
    collections::HashMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::model::Transition;

/// Selects the network namespaces whose reports are delivered: a host may have far more than an audit could read.
pub trait NetnsFilter: Send + Sync {
    /// Delivers the reports of a namespace from now on.
    ///
    /// # Errors
    /// The reason why it cannot.
    fn open(&self, netns: u32) -> Result<(), String>;

    /// Delivers them no more.
    fn shut(&self, netns: u32);
}

/// Distributes transitions to the runs of behaviours, by network namespace. The transitions come from the thread that reads
/// the kernel's reports.
pub struct Observer {
    filter: Box<dyn NetnsFilter>,
    /// The runs that observe a namespace. Several namespaces may belong to one run.
    runs: Mutex<HashMap<u32, Arc<Run>>>,
}

/// The transitions of one run, in the order in which they were reported.
#[derive(Default)]
struct Run {
    transitions: Mutex<Vec<Transition>>,
    changed: Condvar,
}

impl Observer {
    /// An observer that observes no namespace yet.
    pub fn new(filter: impl NetnsFilter + 'static) -> Self {
        Self { filter: Box::new(filter), runs: Mutex::default() }
    }

    /// Passes a transition to the run that observes its namespace. Returns whether there is one.
    pub fn observe(&self, transition: Transition) -> bool {
        let runs = lock(&self.runs);
        let Some(run) = transition.identity.netns.and_then(|netns| runs.get(&netns)) else { return false };
        lock(&run.transitions).push(transition);
        run.changed.notify_all();
        true
    }
}

/// The transitions of the namespaces of one run. Dropping it stops the observation.
pub struct Observed {
    observer: Arc<Observer>,
    run: Arc<Run>,
    netns: Vec<u32>,
}

impl Observed {
    /// No transitions, until a namespace is added.
    pub fn new(observer: Arc<Observer>) -> Self {
        Self { observer, run: Arc::default(), netns: Vec::new() }
    }

    /// Observes a namespace from now on.
    ///
    /// # Errors
    /// The filter's.
    pub fn add(&mut self, netns: u32) -> Result<(), String> {
        lock(&self.observer.runs).insert(netns, Arc::clone(&self.run));
        self.netns.push(netns);
        self.observer.filter.open(netns)
    }

    /// Waits until the transitions satisfy `enough`; returns `false` at the deadline. `enough` is called once now and
    /// after each new transition.
    pub fn wait(&self, deadline: Instant, mut enough: impl FnMut(&[Transition]) -> bool) -> bool {
        let mut transitions = lock(&self.run.transitions);
        loop {
            if enough(&transitions) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.run.changed.wait_timeout(transitions, left);
            transitions = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Stops the observation and returns all transitions, in the order in which they were reported.
    pub fn take(&mut self) -> Vec<Transition> {
        self.stop();
        std::mem::take(&mut lock(&self.run.transitions))
    }

    fn stop(&mut self) {
        for netns in self.netns.drain(..) {
            self.observer.filter.shut(netns);
            lock(&self.observer.runs).remove(&netns);
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
