//! Workloads, and what was reported and recorded of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, OnceLock, PoisonError},
};

use serde_json::Value;

use super::{
    compare,
    host::Host,
    matrix, mptcp,
    observer::{self, Conditions, OBSERVERS, Observation, Observer},
    report::Report,
    special,
    symbols::Symbols,
    timers,
};
use crate::{
    kernel_trace::{Change, Trace},
    tracing,
};

/// Connections to make and to end.
#[derive(Clone, Copy, Debug)]
pub enum Workload {
    /// Every state with every event.
    States,
    /// Listeners, children, orphans, Fast Open, TCP_REPAIR, failing calls.
    Special,
    /// Retransmissions, probes and keepalive.
    Timers,
    /// The host's own routes go away.
    WithoutRoute,
    /// Its namespace goes away.
    WithoutNamespace,
    /// MPTCP sockets and their subflows.
    Mptcp,
    /// What the audit does.
    Audit,
}

impl Workload {
    /// Each of them.
    pub const ALL: [Self; 7] = [
        Self::States,
        Self::Special,
        Self::Timers,
        Self::WithoutRoute,
        Self::WithoutNamespace,
        Self::Mptcp,
        Self::Audit,
    ];

    /// What was observed of it: it runs once for all tests of a process.
    pub fn observed(self) -> &'static Observed {
        static OBSERVED: [OnceLock<Observed>; Workload::ALL.len()] =
            [const { OnceLock::new() }; Workload::ALL.len()];
        /// One at a time: the kernel's trace is of the whole host.
        static TURN: Mutex<()> = Mutex::new(());
        OBSERVED[self as usize].get_or_init(|| {
            let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
            tracing::undisturbed(|| self.watched())
        })
    }

    /// What happened on each local port; `None` if changes were lost.
    fn run(self, host: Host, trace: &mut Trace) -> Option<BTreeMap<u16, String>> {
        match self {
            Self::States => matrix::run(&host),
            Self::Special => special::run(&host),
            Self::Timers => timers::run(&host, trace)?,
            Self::WithoutRoute => timers::without_route(&host, trace)?,
            Self::WithoutNamespace => return timers::without_namespace(host, trace),
            Self::Mptcp => mptcp::run(&host, trace)?,
            Self::Audit => unreachable!("it has hosts of its own"),
        }
        Some(host.labels())
    }

    /// Runs it on a host of its own, observed. `None` if events were lost.
    fn watched(self) -> Option<Observed> {
        if matches!(self, Self::Audit) {
            return audited();
        }
        let host = Host::new();
        let mut trace = Trace::with_stacks();
        let is_possible = |(backend, _): &Conditions| tracing::backends().contains(backend);
        let conditions = OBSERVERS.into_iter().filter(is_possible);
        let observers: Vec<_> = conditions.map(|conditions| Observer::of(conditions, &host)).collect();
        let netns = Some(host.inside.inode());
        let labels = self.run(host, &mut trace);
        let observations: Vec<_> = observers.into_iter().map(Observer::end).collect::<Option<_>>()?;
        Some(Observed { observations, recorded: trace.end()?, netns, labels: labels? })
    }
}

/// An audit on each backend. `None` if events were lost.
fn audited() -> Option<Observed> {
    let trace = Trace::with_stacks();
    let observations =
        tracing::backends().iter().map(|backend| observer::of_audit(backend)).collect::<Option<_>>()?;
    Some(Observed { observations, recorded: trace.end()?, netns: None, labels: BTreeMap::new() })
}

/// What the tool reported of a workload, and what the kernel recorded.
pub struct Observed {
    observations: Vec<Observation>,
    recorded: Vec<Change>,
    /// Where it ran, if in one namespace.
    netns: Option<u32>,
    /// What happens on each local port.
    labels: BTreeMap<u16, String>,
}

impl Observed {
    fn label(&self, transition: &Value) -> Option<&str> {
        let at = |end: &str| self.labels.get(&u16::try_from(transition[end]["port"].as_u64()?).ok()?);
        at("local").or_else(|| at("remote")).map(String::as_str)
    }

    /// The transitions of the workload: a trace without namespaces has others as well.
    fn transitions<'a>(&'a self, observation: &'a Observation) -> impl Iterator<Item = &'a Value> + Clone {
        observation.objects.of("transition").filter(|transition| match transition["netns"].as_u64() {
            Some(netns) => self.netns.is_none_or(|own| netns == u64::from(own)),
            None => self.label(transition).is_some(),
        })
    }

    /// The texts of the causes.
    pub fn causes(&self) -> BTreeSet<String> {
        let transitions = self.observations.iter().flat_map(|observation| self.transitions(observation));
        transitions
            .filter_map(|transition| transition["cause"]["detail"].as_str())
            .map(str::to_owned)
            .collect()
    }

    /// Compares every reported cause with the stack, and every `closed_by` with what it proves.
    pub fn agrees(&self) {
        let symbols = Symbols::read();
        let mut report = Report::default();
        for observation in &self.observations {
            let closed: HashMap<_, _> = observation
                .connections
                .of("connection")
                .map(|connection| (tracing::id(connection), connection))
                .collect();
            for pair in compare::pairs(self.transitions(observation), &self.recorded, &symbols) {
                let label = self.label(pair.reported).unwrap_or("");
                report.add(&pair, label, pair.contradiction());
                let Some(connection) = closed.get(&tracing::id(pair.reported)) else { continue };
                let is_last = connection["closed"] == pair.reported["time"];
                let closed_by = connection["closed_by"].as_str();
                // Of a cause that is wrong, what follows is wrong.
                if is_last && pair.contradiction().is_none() && pair.contradicts_closed_by(closed_by) {
                    let why = format!("closed_by {}", closed_by.unwrap_or("null"));
                    report.add(&pair, label, Some(&why));
                }
            }
        }
        report.check();
    }
}
