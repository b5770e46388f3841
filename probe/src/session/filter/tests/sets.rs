//! The sets say what the entries say, held against an event one by one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::super::{
    facts::{Facts, Fit},
    owners::Owners,
    sets::Sets,
};
use crate::model::{Cgroup, Endpoint, Endpoints, Family, Filter, Name, PortRange, Protocol, Task};

/// What the filter says of a socket, the owner aside.
fn plain_fit(filter: &Filter, facts: &Facts<'_>) -> Fit {
    let Endpoints { local, remote } = facts.ends;
    let unknown_peer = if facts.has_no_peer { Fit::No } else { Fit::Unknown };
    let port = |end: Endpoint, ranges: &[PortRange], unknown| match end.port {
        Some(port) => Fit::of(ranges.iter().any(|range| range.contains(&port.get()))),
        None => unknown,
    };
    let network = |end: Endpoint| {
        let addr = end.addr.to_canonical();
        match filter.networks.iter().any(|network| network.contains(&addr)) {
            true => Fit::Yes,
            false if addr.is_unspecified() => unknown_peer,
            false => Fit::No,
        }
    };
    let either = |one: Fit, other: Fit| one.max(other);
    let kinds = [
        (filter.netns.is_empty(), Fit::of(facts.netns.is_none_or(|netns| filter.netns.contains(&netns)))),
        (filter.families.is_empty(), Fit::of(filter.families.contains(&facts.family))),
        (
            filter.protocols.is_empty(),
            Fit::of(facts.protocol.is_none_or(|protocol| filter.protocols.contains(&protocol))),
        ),
        (filter.local_ports.is_empty(), port(local, &filter.local_ports, Fit::Unknown)),
        (filter.remote_ports.is_empty(), port(remote, &filter.remote_ports, unknown_peer)),
        (
            filter.ports.is_empty(),
            either(port(local, &filter.ports, Fit::Unknown), port(remote, &filter.ports, unknown_peer)),
        ),
        (filter.networks.is_empty(), either(network(local), network(remote))),
    ];
    kinds.into_iter().filter(|(is_empty, _)| !is_empty).map(|(_, fit)| fit).fold(Fit::Yes, Fit::and)
}

/// What the filter says of a socket's owner, of whom the kernel side has said nothing.
fn plain_owner(filter: &Filter, facts: &Facts<'_>) -> Fit {
    let is_named = facts.task.is_some_and(|task| filter.pids.contains(&task.pid));
    let process = match filter.descendants {
        true => !is_named && (filter.pids.is_empty() || facts.in_owners_call),
        false => filter.pids.is_empty() || is_named,
    };
    let comm = facts.task.is_some_and(|task| filter.comms.contains(&task.comm));
    let lies_in = |cgroup: &Cgroup, top: &Cgroup| {
        let (Some(path), Some(top)) = (&cgroup.path, &top.path) else { return false };
        let top = top.as_bytes().strip_suffix(b"/").unwrap_or(top.as_bytes());
        path.as_bytes().strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    let cgroup = facts
        .cgroup
        .is_some_and(|cgroup| filter.cgroups.iter().any(|top| cgroup.id == top.id || lies_in(cgroup, top)));
    Fit::of(process && (filter.comms.is_empty() || comm) && (filter.cgroups.is_empty() || cgroup))
}

/// No entries, more often than not: of several kinds, one that does not fit hides what the others say.
fn some<T: Strategy>(entry: T, most: usize) -> impl Strategy<Value = Vec<T::Value>>
where
    T::Value: Clone,
{
    prop_oneof![2 => Just(Vec::new()), 1 => vec(entry, 1..most)]
}

/// A process or a namespace. Few of them, so that some meet, as below.
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
        let most = if addr.is_ipv4() { 32 } else { 128 };
        let length = if is_small { most - length % 17 } else { length % (most + 1) };
        IpNet::new(addr, length).expect("there is such a length")
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let ports = || some((port(), port()).prop_map(|(first, last)| first..=last), 8);
    let family = select(vec![Family::Ipv4, Family::Ipv6]);
    let protocol = select(vec![Protocol::Tcp, Protocol::Mptcp]);
    let owners = (some(number(), 4), any::<bool>(), some(name("a?b?"), 3), some(cgroup(), 4));
    let ends = ([ports(), ports(), ports()], some(network(), 20));
    let rest = (some(number(), 4), some(family, 3), some(protocol, 3));
    (owners, ends, rest).prop_map(|(owners, ends, rest)| {
        let (pids, descendants, comms, cgroups) = owners;
        let ([ports, local_ports, remote_ports], networks) = ends;
        let (netns, families, protocols) = rest;
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

fn end() -> impl Strategy<Value = Endpoint> {
    (addr(), port()).prop_map(|(addr, port)| Endpoint::new(addr, port))
}

fn task() -> impl Strategy<Value = Option<Task>> {
    option::of((number(), name("a?b?")).prop_map(|(pid, comm)| Task { pid, uid: 0, comm }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn sets_say_what_their_entries_say(
        filter in filter(),
        (local, remote) in (end(), end()),
        (task, cgroup) in (task(), option::of(cgroup())),
        (netns, is_mptcp) in (option::of(number()), option::of(any::<bool>())),
        (has_no_peer, in_owners_call) in any::<(bool, bool)>(),
    ) {
        let facts = Facts {
            socket: None,
            netns,
            protocol: is_mptcp.map(|is_mptcp| if is_mptcp { Protocol::Mptcp } else { Protocol::Tcp }),
            family: if local.addr.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 },
            ends: Endpoints { local, remote },
            task: task.as_ref(),
            cgroup: cgroup.as_ref(),
            has_no_peer,
            is_end: false,
            is_last: false,
            in_owners_call,
        };
        let sets = Sets::of(&filter);
        prop_assert_eq!(facts.fit(&sets), plain_fit(&filter, &facts));
        prop_assert_eq!(Owners::default().fit(&sets, &facts, None), plain_owner(&filter, &facts));
    }
}
