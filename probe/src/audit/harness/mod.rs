//! Where a behaviour is brought about: namespaces, a wire, labelled sockets, and what is stated of them.
//!
//! - `place`: a namespace, its sysctls, its counters; two with a wire between them
//! - `player`: sockets, from their opening to their close
//! - `diag_checks`: what neither a descriptor nor a transition shows

mod diag_checks;
mod test_host;
mod test_socket;

use std::{
    fmt::Display,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

pub use self::{
    test_host::{HostPair, TestHost},
    test_socket::{Part, TestSocket},
};
use super::{Need, Observer, need};
use crate::{
    model::{Family, Mono, Packet, Side, State},
    net::{Namespace, counters::Counters, socket},
    os::clock,
    scenario::{Actor, Step as _, StepError, resolve},
    wire::{Link, Wire},
};

/// How long a behaviour may take: by then it waits in vain. The longest timers of the catalogue take a third of it.
const PATIENCE: Duration = Duration::from_secs(12);

/// The port of servers.
pub const SERVER: u16 = 1314;

/// The stage of one behaviour, once.
pub struct Harness {
    observer: Arc<Observer>,
    needs: &'static [Need],
    deadline: Instant,
    places: Vec<TestHost>,
    wires: Vec<Arc<Wire>>,
    cast: Vec<Actor>,
    /// Those of the cast that are open.
    open: Vec<TestSocket>,
    facts: Vec<(String, String)>,
}

/// What came of the steps.
pub struct RunResult {
    /// Why they did not get to their end.
    pub trouble: Option<StepError>,
    /// They waited in vain: what they broke off at did not happen by the deadline.
    pub in_vain: bool,
    /// The sockets.
    pub cast: Vec<Actor>,
    /// What was stated.
    pub facts: Vec<(String, String)>,
    /// The inode numbers of the namespaces.
    pub netns: Vec<u32>,
    /// The places themselves, held until all that was reported of them has been taken: the kernel gives the number of a
    /// namespace that is gone to the next one.
    pub places: Vec<TestHost>,
    /// What the wires have carried.
    pub packets: Vec<Packet>,
    /// When the steps had ended: what comes later is clearing up.
    pub until: Mono,
}

impl Harness {
    pub(super) fn new(observer: Arc<Observer>, needs: &'static [Need]) -> Self {
        Self {
            observer,
            needs,
            deadline: Instant::now() + PATIENCE,
            places: Vec::new(),
            wires: Vec::new(),
            cast: Vec::new(),
            open: Vec::new(),
            facts: Vec::new(),
        }
    }

    /// HostPair with what the steps returned.
    pub(super) fn end(self, result: Result<(), StepError>) -> RunResult {
        RunResult {
            in_vain: matches!(result, Err(StepError::Failed { .. })) && Instant::now() >= self.deadline,
            trouble: result.err(),
            until: clock::now(),
            netns: self.netns(),
            packets: self.wires.iter().flat_map(|wire| wire.packets()).collect(),
            cast: self.cast,
            facts: self.facts,
            places: self.places,
        }
    }

    /// By when everything must have happened.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// A namespace of its own, and its loopback address.
    ///
    /// # Errors
    /// There is none to be had.
    pub fn here(&mut self) -> Result<TestHost, StepError> {
        self.place(Ipv4Addr::LOCALHOST.into())
    }

    fn place(&mut self, addr: IpAddr) -> Result<TestHost, StepError> {
        let namespace = Namespace::private()?;
        self.observer.watch(namespace.inode()).step("asking for the reports of a namespace")?;
        let place = TestHost::new(namespace, addr, self.needs);
        self.places.push(place.clone());
        Ok(place)
    }

    /// Two namespaces of their own with a wire between them.
    ///
    /// # Errors
    /// They are not to be had, or the entry does not name the wire that it needs.
    pub fn ends(&mut self) -> Result<HostPair, StepError> {
        need::named(self.needs, Need::Wire)?;
        let link = Link::new(Family::Ipv4).delay(Duration::from_millis(2));
        let [a, b] = Side::BOTH.map(|side| self.place(link.address(side)));
        let (a, b) = (a?, b?);
        let wire = Wire::between(&a.namespace, &b.namespace, link)
            .map_err(|error| StepError::Unsupported(error.to_string()))?;
        let wire = Arc::new(wire);
        self.wires.push(Arc::clone(&wire));
        Ok(HostPair::new(a, b, wire, self.deadline))
    }

    /// States what is so.
    pub fn state(&mut self, name: impl Into<String>, value: impl Display) {
        self.facts.push((name.into(), value.to_string()));
    }

    /// States what a call came to: `success`, or its error's name.
    pub fn says<T>(&mut self, name: impl Into<String>, result: &socket::Result<T>) {
        match result {
            Ok(_) => self.state(name, "success"),
            Err(error) => self.state(name, error),
        }
    }

    /// States how far counters have risen here since.
    ///
    /// # Errors
    /// /proc does not say.
    pub fn counted(&mut self, place: &TestHost, before: &Counters, names: &[&str]) -> Result<(), StepError> {
        let now = place.counters()?;
        for name in names {
            match now.since(before, name) {
                Some(rise) => self.state(*name, rise),
                None => self.state(*name, "not counted"),
            }
        }
        Ok(())
    }

    /// Waits until the kernel has reported that the socket entered this state.
    ///
    /// # Errors
    /// It has not by the deadline: which states it went through is in the observation.
    pub fn until(&self, part: impl Into<Part>, state: State) -> Result<(), StepError> {
        self.until_times(part, 1, state)
    }

    /// Waits until the kernel has reported that the socket entered this state for the so-manieth time.
    ///
    /// # Errors
    /// As for [`until`](Self::until).
    pub fn until_times(&self, part: impl Into<Part>, times: usize, state: State) -> Result<(), StepError> {
        let Part { label, actor } = part.into();
        let reported = self.observer.wait(&self.netns(), self.deadline, |transitions| {
            let lives = resolve::lives(&self.cast, transitions);
            lives[actor].iter().filter(|transition| transition.new == state).count() >= times
        });
        if reported {
            return Ok(());
        }
        Err(StepError::Failed {
            step: format!("waiting for {label} to be in {state}"),
            cause: format!("not reported within {} s", PATIENCE.as_secs()),
        })
    }

    /// States the local port that the kernel reported when the socket left CLOSE: `none` where it had yet to choose one.
    ///
    /// # Errors
    /// It has not been reported by the deadline.
    pub fn state_first_port(&mut self, part: impl Into<Part>) -> Result<(), StepError> {
        let part = part.into();
        let mut port = None;
        self.observer.wait(&self.netns(), self.deadline, |transitions| {
            let lives = resolve::lives(&self.cast, transitions);
            port = lives[part.actor].first().map(|transition| transition.ends.local.port);
            port.is_some()
        });
        let port = port.ok_or_else(|| format!("not reported within {} s", PATIENCE.as_secs()));
        match port.step(format!("waiting for {} to leave CLOSE", part.label))? {
            Some(port) => self.state("port when it left CLOSE", port),
            None => self.state("port when it left CLOSE", "none"),
        }
        Ok(())
    }

    fn netns(&self) -> Vec<u32> {
        self.places.iter().map(|place| place.namespace.inode()).collect()
    }
}
