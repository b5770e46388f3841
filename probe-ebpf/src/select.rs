//! Whether the filter selects the socket of a transition.

use probe_ebpf::{Field, FilterFlags, PortSet};

use crate::{
    config::{self, filters_by},
    filter::{
        self,
        Decision::{self, Match, NoMatch, Undecided},
    },
    offsets,
    tcp_state::SYN_SENT,
    tracking::TrackedTransition,
    transition::Transition,
};

/// Whether to report the transition.
#[inline(always)]
pub fn passes<T: TrackedTransition>(transition: &T) -> bool {
    if !config::has_filter() || filter::passes_all() {
        return true;
    }
    let Some(state) = transition.state() else { return match_endpoints(transition) != NoMatch };
    let mut decision = state.decision();
    if decision == Undecided {
        let owner = if config::filters_by_owner() { state.owner_decision() } else { Match };
        decision = owner.and(match_endpoints(transition));
        // The reader tracks a socket that it has a report of until it gets the report of its close.
        if decision == Undecided && !config::summaries() {
            decision = Match;
        }
        state.set_decision(decision);
    }
    decision != NoMatch
}

/// The decision by protocol, family, namespace, ports and addresses.
#[inline(always)]
fn match_endpoints<T: Transition>(transition: &T) -> Decision {
    let mut decision = Match;
    if filters_by(FilterFlags::TCP | FilterFlags::MPTCP) {
        decision = decision.and(filter::match_protocol(transition.protocol()));
    }
    if filters_by(FilterFlags::IPV4 | FilterFlags::IPV6) {
        decision = decision.and(filter::match_family(transition.family()));
    }
    if filters_by(FilterFlags::NAMESPACES) {
        decision = decision.and(filter::match_netns(transition.netns()));
    }
    if filters_by(FilterFlags::LOCAL_PORTS) {
        decision = decision.and(filter::match_port(PortSet::Local, settled_local_port(transition)));
    }
    if filters_by(FilterFlags::REMOTE_PORTS) {
        decision = decision.and(filter::match_port(PortSet::Remote, transition.remote_port()));
    }
    if filters_by(FilterFlags::PORTS) {
        let local = filter::match_port(PortSet::Either, settled_local_port(transition));
        decision = decision.and(local.or(filter::match_port(PortSet::Either, transition.remote_port())));
    }
    if filters_by(FilterFlags::NETWORKS) {
        let family = transition.family();
        let (local, remote) = transition.addresses(family);
        let local = filter::match_address(family, local);
        decision = decision.and(local.or(filter::match_address(family, remote)));
    }
    decision
}

/// The local port, or 0 where it may still change.
#[inline(always)]
fn settled_local_port<T: Transition>(transition: &T) -> u16 {
    let may_be_stale = transition.new_state() == SYN_SENT && offsets::offset(Field::BoundPort).is_none();
    if may_be_stale { 0 } else { transition.local_port() }
}
