//! Port hazards of each network namespace: listeners in the ephemeral range, self-connected sockets and port exhaustion.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use super::namespace::Ports;
use crate::model::{DiagEntry, Endpoint, Hazard, HazardFacts, Owner, Protocol, State};

/// Ephemeral ports are scarce when less than one in this many is free.
const SCARCE: usize = 10;

/// The hazards of all namespaces whose port settings are known, by inode number.
pub fn hazards(sockets: &[DiagEntry], namespaces: &BTreeMap<u32, Ports>) -> Vec<Hazard> {
    let mut hazards = Vec::new();
    for (netns, ports) in namespaces {
        // An MPTCP socket has the address of its subflows, which are listed as TCP.
        let here = |socket: &&DiagEntry| {
            socket.identity.netns == *netns && socket.identity.protocol == Protocol::Tcp
        };
        let sockets: Vec<&DiagEntry> = sockets.iter().filter(here).collect();
        hazards.extend(of_namespace(&sockets, *netns, ports));
    }
    hazards
}

fn of_namespace(sockets: &[&DiagEntry], netns: u32, ports: &Ports) -> Vec<Hazard> {
    let hazard =
        |facts, local, owner: &Owner| Hazard { facts, netns, local, owner: owner.clone(), remedy: None };
    let mut found: Vec<Hazard> = Vec::new();
    for socket in sockets {
        let local = socket.identity.endpoints.local;
        let facts = if socket.state == State::Listen {
            let reach = ports.reach(local.port_or_zero());
            reach.map(|reach| HazardFacts::EphemeralListener { range: ports.range.clone(), reach })
        } else {
            let time_wait = socket.state == State::TimeWait;
            socket.identity.endpoints.is_self().then_some(HazardFacts::SelfConnected { time_wait })
        };
        found.extend(facts.map(|facts| hazard(facts, local, &socket.owner)));
    }
    found.sort_by_key(|hazard| (hazard.kind(), hazard.local.port, hazard.local.addr));
    // Sockets of one owner that share a port by SO_REUSEPORT count as one listener.
    found.dedup_by(|later, first| {
        later.facts == first.facts && later.local == first.local && later.owner == first.owner
    });

    let has_remedy = |hazard: &Hazard| ports.reach(hazard.local.port_or_zero()).is_some();
    let ports_to_reserve: BTreeSet<u16> =
        found.iter().filter(|hazard| has_remedy(hazard)).map(|hazard| hazard.local.port_or_zero()).collect();
    for hazard in found.iter_mut().filter(|hazard| has_remedy(hazard)) {
        hazard.remedy = Some(ports.reserve(&ports_to_reserve));
    }
    found.extend(exhaustion(sockets, ports).into_iter().map(|(addr, facts)| Hazard {
        remedy: Some(EXHAUSTION_REMEDY.to_owned()),
        ..hazard(facts, Endpoint::new(addr, 0), &Owner::UNKNOWN)
    }));
    found
}

const EXHAUSTION_REMEDY: &str = "reuse connections, connect from more source addresses, or widen \
                                 net.ipv4.ip_local_port_range";

/// Pairs of a local address and a remote endpoint for which ephemeral ports are scarce.
fn exhaustion(sockets: &[&DiagEntry], ports: &Ports) -> Vec<(IpAddr, HazardFacts)> {
    let mut pairs: HashMap<(IpAddr, Endpoint), HashMap<u16, State>> = HashMap::new();
    for socket in sockets {
        let (local, remote) =
            (socket.identity.endpoints.local.canonical(), socket.identity.endpoints.remote.canonical());
        let port = local.port_or_zero();
        if remote.port.is_some() && ports.reach(port).is_some() {
            pairs.entry((local.addr, remote)).or_default().insert(port, socket.state);
        }
    }
    let available = ports.available();
    let scarce = |used: usize| used > 0 && (available - used.min(available)) * SCARCE < available;
    let mut pairs: Vec<_> = pairs.into_iter().filter(|(_, taken)| scarce(taken.len())).collect();
    // The scarcest first: a table shows only some.
    pairs.sort_by_key(|(pair, taken)| (Reverse(taken.len()), *pair));
    let facts = |remote, taken: HashMap<u16, State>| HazardFacts::EphemeralExhaustion {
        remote,
        used: taken.len(),
        time_wait: taken.values().filter(|state| **state == State::TimeWait).count(),
        available,
    };
    pairs.into_iter().map(|((addr, remote), taken)| (addr, facts(remote, taken))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Known, Name, PortRange, PortReach, Task, testing::diag_entry};

    const HERE: u32 = 1;

    fn owner(pid: u32) -> Owner {
        let task = Task { pid, uid: 0, comm: Name::from_bytes(b"server") };
        Owner { task: Some(task), cgroup: None, known: Known::Inferred }
    }

    fn endpoint(text: &str) -> Endpoint {
        text.parse::<std::net::SocketAddr>().unwrap().into()
    }

    fn socket(state: State, local: &str, remote: &str) -> DiagEntry {
        DiagEntry { owner: owner(7).into(), ..diag_entry(1, state, local, remote).in_netns(HERE) }
    }

    fn listener(local: &str) -> DiagEntry {
        socket(State::Listen, local, "0.0.0.0:0")
    }

    fn ports(range: PortRange, reserved: &[PortRange]) -> Ports {
        Ports { range, reserved: reserved.to_vec(), enter: String::new() }
    }

    fn hazards_of(sockets: &[DiagEntry], ports: Ports) -> Vec<Hazard> {
        hazards(sockets, &BTreeMap::from([(HERE, ports)]))
    }

    #[test]
    fn one_command_reserves_all_ports_and_keeps_reserved_ones() {
        let sockets = [
            listener("0.0.0.0:50052"),
            listener("[::]:50051"),
            listener("127.0.0.1:80"),
            listener("127.0.0.1:40000"),
        ];
        let hazards = hazards_of(&sockets, ports(32768..=60999, &[8080..=8080, 9148..=9148, 40000..=40009]));
        let at: Vec<_> = hazards.iter().map(|hazard| hazard.local.to_string()).collect();
        assert_eq!(at, ["[::]:50051", "0.0.0.0:50052"]);
        let remedy = "sysctl -w net.ipv4.ip_local_reserved_ports=8080,9148,40000-40009,50051-50052";
        assert!(hazards.iter().all(|hazard| hazard.remedy.as_deref() == Some(remedy)), "{hazards:?}");
        assert!(matches!(hazards[0].facts, HazardFacts::EphemeralListener { reach: PortReach::Bind, .. }));
        assert!(matches!(hazards[1].facts, HazardFacts::EphemeralListener { reach: PortReach::Connect, .. }));
        assert!(hazards[0].message().contains("50051"), "{}", hazards[0].message());
    }

    #[test]
    fn each_namespace_has_its_own_range_and_remedy() {
        let there = listener("127.0.0.1:50000").in_netns(2);
        let unknown = there.clone().in_netns(3);
        let other = Ports { enter: "ip netns exec blue ".to_owned(), ..ports(32768..=60999, &[]) };
        let namespaces = BTreeMap::from([(HERE, ports(32768..=49999, &[])), (2, other)]);
        let hazards = hazards(&[listener("127.0.0.1:50000"), there, unknown], &namespaces);
        assert_eq!(hazards.len(), 1);
        assert_eq!(hazards[0].netns, 2);
        let remedy = "ip netns exec blue sysctl -w net.ipv4.ip_local_reserved_ports=50000";
        assert_eq!(hazards[0].remedy.as_deref(), Some(remedy));
    }

    #[test]
    fn listeners_that_share_a_port_are_one_hazard_per_owner() {
        let other = DiagEntry { owner: owner(8).into(), ..listener("127.0.0.1:50000") };
        let mut mptcp = listener("127.0.0.1:50000");
        mptcp.identity.protocol = Protocol::Mptcp;
        let sockets = [listener("127.0.0.1:50000"), listener("127.0.0.1:50000"), mptcp, other];
        assert_eq!(hazards_of(&sockets, ports(32768..=60999, &[])).len(), 2);
    }

    #[test]
    fn a_self_connected_socket_is_a_hazard_and_its_port_gets_reserved() {
        let sockets = [
            socket(State::Established, "127.0.0.1:40000", "127.0.0.1:40000"),
            socket(State::TimeWait, "127.0.0.1:1314", "127.0.0.1:1314"),
            socket(State::Established, "127.0.0.1:40001", "127.0.0.1:80"),
        ];
        let hazards = hazards_of(&sockets, ports(32768..=60999, &[]));
        assert_eq!(hazards.len(), 2);
        assert_eq!(hazards[0].facts, HazardFacts::SelfConnected { time_wait: true });
        assert_eq!(hazards[0].remedy, None);
        assert_eq!(hazards[1].facts, HazardFacts::SelfConnected { time_wait: false });
        assert_eq!(hazards[1].remedy.as_deref(), Some("sysctl -w net.ipv4.ip_local_reserved_ports=40000"));
    }

    #[test]
    fn ports_are_scarce_when_more_than_nine_in_ten_are_taken() {
        let client = |port: u16| {
            let state = if port.is_multiple_of(2) { State::TimeWait } else { State::Established };
            socket(state, &format!("10.0.0.1:{port}"), "10.0.0.2:80")
        };
        let ports = ports(40000..=40019, &[]);
        let mut sockets: Vec<_> = (40000..40018).map(client).collect();
        // Another remote endpoint, and a v4-mapped one that equals the first.
        sockets.push(socket(State::Established, "10.0.0.1:40018", "10.0.0.3:80"));
        sockets.push(socket(State::Established, "[::ffff:10.0.0.1]:40017", "[::ffff:10.0.0.2]:80"));
        assert_eq!(hazards_of(&sockets, ports.clone()), []);
        sockets.push(client(40018));
        let hazards = hazards_of(&sockets, ports);
        let remote = endpoint("10.0.0.2:80");
        let facts = HazardFacts::EphemeralExhaustion { remote, used: 19, time_wait: 10, available: 20 };
        assert_eq!(hazards.iter().map(|hazard| &hazard.facts).collect::<Vec<_>>(), [&facts]);
        assert_eq!(hazards[0].local, Endpoint::new("10.0.0.1".parse().unwrap(), 0));
    }
}
