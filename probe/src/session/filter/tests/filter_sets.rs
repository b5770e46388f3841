//! The sets match what their entries match one by one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::super::{
    filter_sets::FilterSets,
    owner_filter::OwnerFilter,
    socket_facts::{Match, SocketFacts},
};
use crate::model::{
    Cgroup, Endpoint, Endpoints, Family, Filter, Name, PortRange, Protocol, SocketIdentity, Task,
};

/// Matches everything but the owner, entry by entry.
fn match_facts(filter: &Filter, facts: &SocketFacts<'_>) -> Match {
    let Endpoints { local, remote } = facts.identity.endpoints;
    let unknown_remote = if facts.has_no_remote { Match::No } else { Match::Unknown };
    let port = |endpoint: Endpoint, ranges: &[PortRange], unknown| match endpoint.port {
        Some(port) => Match::of(ranges.iter().any(|range| range.contains(&port.get()))),
        None => unknown,
    };
    let network = |endpoint: Endpoint| {
        let addr = endpoint.addr.to_canonical();
        match filter.networks.iter().any(|network| network.contains(&addr)) {
            true => Match::Yes,
            false if addr.is_unspecified() => unknown_remote,
            false => Match::No,
        }
    };
    let either = |one: Match, other: Match| one.max(other);
    let kinds = [
        (
            filter.netns.is_empty(),
            Match::of(facts.identity.netns.is_none_or(|netns| filter.netns.contains(&netns))),
        ),
        (filter.families.is_empty(), Match::of(filter.families.contains(&facts.identity.family))),
        (filter.protocols.is_empty(), Match::of(filter.protocols.contains(&facts.identity.protocol))),
        (filter.local_ports.is_empty(), port(local, &filter.local_ports, Match::Unknown)),
        (filter.remote_ports.is_empty(), port(remote, &filter.remote_ports, unknown_remote)),
        (
            filter.ports.is_empty(),
            either(port(local, &filter.ports, Match::Unknown), port(remote, &filter.ports, unknown_remote)),
        ),
        (filter.networks.is_empty(), either(network(local), network(remote))),
    ];
    kinds
        .into_iter()
        .filter(|(is_empty, _)| !is_empty)
        .map(|(_, matches)| matches)
        .fold(Match::Yes, Match::and)
}

/// Matches the owner, entry by entry, without a decision of the kernel side.
fn match_owner(filter: &Filter, facts: &SocketFacts<'_>) -> Match {
    let is_named = facts.task.is_some_and(|task| filter.pids.contains(&task.pid));
    let process = match filter.descendants {
        true => !is_named && (filter.pids.is_empty() || facts.in_owners_call),
        false => filter.pids.is_empty() || is_named,
    };
    let comm = facts.task.is_some_and(|task| filter.comms.contains(&task.comm));
    let is_within = |cgroup: &Cgroup, top: &Cgroup| {
        let (Some(path), Some(top)) = (&cgroup.path, &top.path) else { return false };
        let top = top.as_bytes().strip_suffix(b"/").unwrap_or(top.as_bytes());
        path.as_bytes().strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    let cgroup = facts
        .cgroup
        .is_some_and(|cgroup| filter.cgroups.iter().any(|top| cgroup.id == top.id || is_within(cgroup, top)));
    Match::of(process && (filter.comms.is_empty() || comm) && (filter.cgroups.is_empty() || cgroup))
}

/// Mostly no entries: if several kinds are given, one that does not match hides the others.
fn few<T: Strategy>(entry: T, max: usize) -> impl Strategy<Value = Vec<T::Value>>
where
    T::Value: Clone,
{
    prop_oneof![2 => Just(Vec::new()), 1 => vec(entry, 1..max)]
}

/// A process or a namespace. The range is small so that entries and facts coincide; likewise below.
fn number() -> impl Strategy<Value = u32> {
    1..6_u32
}

fn name(pattern: &'static str) -> impl Strategy<Value = Name> {
    pattern.prop_map(|text| Name::from_bytes(text.as_bytes()))
}

fn cgroup() -> impl Strategy<Value = Cgroup> {
    let path = option::of(name("(/?(a|b|ab)){0,3}/{0,2}"));
    (0..40_u64, path).prop_map(|(id, path)| Cgroup { id, path })
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![4 => 0..200_u16, 1 => any::<u16>()]
}

fn addr() -> impl Strategy<Value = IpAddr> {
    let known =
        ["0.0.0.0", "255.255.255.255", "10.0.0.0", "::", "::ffff:0:0", "::ffff:10.0.0.0", "2001:db8::"];
    let known = known.map(|addr| addr.parse::<IpAddr>().expect("an address"));
    let near = (select(known.to_vec()), any::<u16>()).prop_map(|(addr, last)| match addr {
        IpAddr::V4(addr) => Ipv4Addr::from_bits(addr.to_bits() ^ u32::from(last)).into(),
        IpAddr::V6(addr) => Ipv6Addr::from_bits(addr.to_bits() ^ u128::from(last)).into(),
    });
    prop_oneof![1 => select(known.to_vec()), 4 => near, 1 => any::<IpAddr>()]
}

fn network() -> impl Strategy<Value = IpNet> {
    (addr(), 0..=128_u8, any::<bool>()).prop_map(|(addr, length, is_small)| {
        let max = if addr.is_ipv4() { 32 } else { 128 };
        let length = if is_small { max - length % 17 } else { length % (max + 1) };
        IpNet::new(addr, length).expect("there is such a length")
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let ports = || few((port(), port()).prop_map(|(first, last)| first..=last), 8);
    let family = select(vec![Family::Ipv4, Family::Ipv6]);
    let protocol = select(vec![Protocol::Tcp, Protocol::Mptcp]);
    let owners = (few(number(), 4), any::<bool>(), few(name("a?b?"), 3), few(cgroup(), 4));
    let endpoints = ([ports(), ports(), ports()], few(network(), 20));
    let others = (few(number(), 4), few(family, 3), few(protocol, 3));
    (owners, endpoints, others).prop_map(|(owners, endpoints, others)| {
        let (pids, descendants, comms, cgroups) = owners;
        let ([ports, local_ports, remote_ports], networks) = endpoints;
        let (netns, families, protocols) = others;
        Filter {
            pids,
            descendants,
            comms,
            ports,
            local_ports,
            remote_ports,
            networks,
            netns,
            cgroups,
            families,
            protocols,
        }
    })
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    (addr(), port()).prop_map(|(addr, port)| Endpoint::new(addr, port))
}

fn task() -> impl Strategy<Value = Option<Task>> {
    option::of((number(), name("a?b?")).prop_map(|(pid, comm)| Task { pid, uid: 0, comm }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn sets_match_what_their_entries_match(
        filter in filter(),
        (local, remote) in (endpoint(), endpoint()),
        (task, cgroup) in (task(), option::of(cgroup())),
        (netns, protocol) in (option::of(number()), select(vec![Protocol::Tcp, Protocol::Mptcp])),
        (has_no_remote, in_owners_call) in any::<(bool, bool)>(),
    ) {
        let facts = SocketFacts {
            socket: None,
            identity: SocketIdentity { protocol, ..SocketIdentity::tcp(netns, Endpoints { local, remote }) },
            task: task.as_ref(),
            cgroup: cgroup.as_ref(),
            has_no_remote,
            is_close: false,
            is_final: false,
            in_owners_call,
        };
        let sets = FilterSets::new(&filter);
        prop_assert_eq!(facts.matches(&sets), match_facts(&filter, &facts));
        prop_assert_eq!(OwnerFilter::default().matches(&sets, &facts, None), match_owner(&filter, &facts));
    }
}
