//! Finds the kernel's record of each reported transition, and compares the reported cause with what the stack proves.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use probe::model::State;
use serde_json::Value;

use super::{
    closed_by,
    proof::{Evidence, Proof, own_frames},
    symbols::Symbols,
    told::TOLD,
};
use crate::{
    kernel_trace::Change,
    support::{number, text},
    tracing,
};

/// Both read the same clock in succession, unless interrupts occur in between, or the host of a virtual machine suspends its
/// CPU. Each connection has a port of its own, so that this may be long.
const INTERRUPT: u64 = 5_000_000_000;

/// A reported transition and the kernel's record of it.
pub struct Pair<'a> {
    pub reported: &'a Value,
    pub old: State,
    pub frames: Vec<&'a str>,
    pub proof: Option<Proof>,
}

impl Pair<'_> {
    /// The reported cause: its kind, text and error number.
    pub fn told(&self) -> String {
        let cause = &self.reported["cause"];
        if cause.is_null() {
            return "unknown".to_owned();
        }
        let errno = cause["errno"].as_str().map(|errno| format!(" ({errno})")).unwrap_or_default();
        format!("{}: {}{errno}", text(&cause["kind"]), text(&cause["detail"]))
    }

    fn detail(&self) -> Option<&str> {
        self.reported["cause"]["detail"].as_str()
    }

    /// What may have happened where the reported cause is true.
    fn admitted(&self) -> Option<&'static [Proof]> {
        let detail = self.detail()?;
        TOLD.iter().find(|(text, _)| *text == detail).map(|(_, proofs)| *proofs)
    }

    /// What contradicts the stack, if anything does.
    pub fn contradiction(&self) -> Option<&'static str> {
        if self.frames.is_empty() {
            return None;
        }
        let Some(proof) = self.proof else { return Some("no function of this stack is in the table") };
        self.detail()?;
        let Some(admitted) = self.admitted() else { return Some("this cause is not in the table") };
        (!admitted.contains(&proof)).then_some("the stack contradicts this cause")
    }

    /// Whether this `closed_by` of the connection that the transition ended is wrong.
    pub fn contradicts_closed_by(&self, closed_by: Option<&str>) -> bool {
        if self.frames.is_empty() {
            return false;
        }
        let (Some(proof), Some(detail)) = (self.proof, self.detail()) else { return closed_by.is_some() };
        let in_repair = detail.contains("TCP_REPAIR");
        // A cause that leaves several possible may leave this open as well.
        let is_open = closed_by.is_none() && self.admitted().is_some_and(|proofs| proofs.len() > 1);
        let right = closed_by::closers(proof, self.old, in_repair);
        !is_open && right.is_some_and(|right| !right.contains(&closed_by))
    }
}

/// The record of each reported transition.
///
/// # Panics
/// The kernel recorded none, or one that nothing reported.
pub fn pairs<'a>(
    reported: impl Iterator<Item = &'a Value>,
    recorded: &'a [Change],
    symbols: &'a Symbols,
) -> Vec<Pair<'a>> {
    let mut by_edge: HashMap<(u64, State, State), Vec<usize>> = HashMap::new();
    for (index, change) in recorded.iter().enumerate() {
        by_edge.entry((change.cpu, change.old, change.new)).or_default().push(index);
    }
    let mut used = BTreeSet::new();
    let mut sockets: BTreeMap<tracing::Id<'_>, (u64, usize)> = BTreeMap::new();
    let mut pairs = Vec::new();
    for transition in reported {
        let at = number(&transition["mono_ns"]);
        let key = (number(&transition["cpu"]), state(&transition["old"]), state(&transition["new"]));
        let candidates = by_edge.get(&key).map_or(&[][..], Vec::as_slice);
        // In the order of time. The kernel's trace was there first, so that it mostly records a change before the tool reports
        // it.
        let (before, after) =
            candidates.split_at(candidates.partition_point(|index| recorded[*index].at <= at));
        let same = before
            .iter()
            .rev()
            .chain(after)
            .filter(|index| recorded[**index].at.abs_diff(at) < INTERRUPT)
            .find(|index| !used.contains(*index) && is_same(&recorded[**index], transition));
        let index = *same.unwrap_or_else(|| {
            let near = recorded.iter().filter(|one| one.at.abs_diff(at) < INTERRUPT).collect::<Vec<_>>();
            panic!("the kernel recorded no such change: {transition}, but {near:#?}")
        });
        used.insert(index);
        let change = &recorded[index];
        let before = recorded[..index].iter().rfind(|earlier| earlier.skaddr == change.skaddr);
        let socket = tracing::id(transition);
        if let Some((skaddr, last)) = sockets.insert(socket, (change.skaddr, index)) {
            // An accepted MPTCP socket has its listener's.
            if !change.is_mptcp {
                assert_eq!(skaddr, change.skaddr, "the address of the socket in {transition}");
            }
            let missing = recorded[last + 1..index]
                .iter()
                .find(|one| one.skaddr == skaddr && !one.interrupts_first_process());
            // Where namespaces are unknown, the address may have been another socket's in between.
            assert!(
                missing.is_none() || skaddr != change.skaddr || transition["netns"].is_null(),
                "not reported: {missing:?}, before {transition}"
            );
        }
        assert!(!change.stack.is_empty() || change.may_lack_stack(), "no stack: {change:?}");
        let frames = own_frames(&symbols.names(&change.stack));
        let evidence = Evidence {
            is_mptcp: transition["protocol"] == "mptcp",
            old: change.old,
            new: change.new,
            frames: &frames,
            before: before.map(|before| before.old),
        };
        let proof = evidence.proof();
        pairs.push(Pair { reported: transition, old: change.old, proof, frames });
    }
    pairs
}

fn state(name: &Value) -> State {
    State::ALL.into_iter().find(|state| state.name() == text(name)).expect("a state")
}

/// Whether protocol and ports agree: the kernel may have cleared a port already.
fn is_same(change: &Change, transition: &Value) -> bool {
    change.is_mptcp == (transition["protocol"] == "mptcp")
        && change.ports.into_iter().zip(["local", "remote"]).all(|(port, end)| {
            let reported = transition[end]["port"].as_u64().unwrap_or(0);
            port == 0 || reported == 0 || reported == u64::from(port)
        })
}
