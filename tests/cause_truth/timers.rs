//! What timers end, all at once: the longest takes about three seconds.

use std::{collections::BTreeMap, net::Shutdown, process::Command, time::Duration};

use probe::{
    model::{Family, Flags, Segment, State},
    net::Tcp,
};

use super::{
    host::{Connection, Host, Unreachable},
    matrix::{Event, Mark, Opening, reach},
};
use crate::kernel_trace::Trace;

/// Less than any retransmission timeout.
const SOON: Duration = Duration::from_millis(1);

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// Waits until the kernel has ended them; `None` if changes were lost.
fn expire(connections: &[Connection<'_>], trace: &mut Trace) -> Option<()> {
    connections.iter().try_for_each(|one| one.place().wait_for_end(trace))
}

/// Retransmissions, probes and keepalive. `None` if changes were lost.
pub fn run(host: &Host, trace: &mut Trace) -> Option<()> {
    let mut all = Vec::new();
    for family in FAMILIES {
        all.extend(handshakes(host, family));
        all.extend(data(host, family));
        all.extend(fins(host, family));
        all.extend(keepalive(host, family));
    }
    expire(&all, trace)
}

fn handshakes(host: &Host, family: Family) -> Vec<Connection<'_>> {
    let timed = |state: State, what: &str| {
        reach(host, family, Opening::Active, Mark::None, state, &format!("{}: {what}", state.name()))
    };
    let mut all: Vec<_> =
        [State::SynSent, State::SynRecv].into_iter().map(|state| timed(state, "retransmissions")).collect();
    let soon = timed(State::SynSent, "TCP_USER_TIMEOUT");
    soon.socket().user_timeout(SOON).unwrap();
    all.push(soon);
    let shut = timed(State::SynRecv, "shutdown(WR), then retransmissions");
    shut.socket().shutdown(Shutdown::Write).unwrap();
    all.push(shut);
    let mut fast = host.connection(family, "SYN_RECV Fast Open: retransmissions");
    fast.listen(|family| Tcp::new(family).unwrap());
    fast.listener.as_ref().unwrap().fast_open_queue(8).unwrap();
    fast.receives(Flags::SYN, b"data");
    fast.accept();
    // The child alone is to end.
    all.push(fast);
    all
}

/// Data that the peer does not acknowledge.
fn data(host: &Host, family: Family) -> Vec<Connection<'_>> {
    let mut all = Vec::new();
    for state in [State::Established, State::CloseWait] {
        let name = state.name();
        let timed = |what: &str| {
            let one = reach(host, family, Opening::Active, Mark::None, state, &format!("{name}: {what}"));
            one.socket().user_timeout(SOON).unwrap();
            one
        };
        let plain = timed("data, TCP_USER_TIMEOUT");
        plain.write(b"data");
        all.push(plain);
        for what in Unreachable::ALL {
            let one = timed(&format!("data, ICMP {what:?} unreachable, TCP_USER_TIMEOUT"));
            let packet = one.write(b"data");
            one.receives_icmp(&packet, what);
            all.push(one);
        }
        let mut probed = timed("window probes, TCP_USER_TIMEOUT");
        probe(&mut probed);
        all.push(probed);
    }
    all
}

/// The peer announces a window of 0, and the host has data to send.
fn probe(one: &mut Connection<'_>) {
    one.window = 0;
    one.receives(Flags::ACK, b"");
    one.socket().write_all(b"data", super::host::deadline()).unwrap();
}

/// FINs that the peer does not acknowledge.
fn fins(host: &Host, family: Family) -> Vec<Connection<'_>> {
    let mut all = Vec::new();
    for state in [State::FinWait1, State::Closing, State::LastAck] {
        for orphan in [false, true] {
            for icmp in [None, Some(Unreachable::Host), Some(Unreachable::Port)] {
                let what = if orphan { "orphan" } else { "TCP_USER_TIMEOUT" };
                let icmp_text = icmp.map(|what| format!(", ICMP {what:?}")).unwrap_or_default();
                let label = format!("{}: FIN, {what}{icmp_text}", state.name());
                let mut one = reach(host, family, Opening::Active, Mark::None, state, &label);
                if orphan {
                    drop(one.socket.take());
                } else {
                    one.socket().user_timeout(SOON).unwrap();
                }
                if let Some(what) = icmp {
                    let packet = one.packet("FIN", Segment::is_fin);
                    one.receives_icmp(&packet, what);
                }
                all.push(one);
            }
        }
    }
    let label = "FIN_WAIT1: orphan, window probes";
    let mut probed = reach(host, family, Opening::Active, Mark::None, State::Established, label);
    probe(&mut probed);
    drop(probed.socket.take());
    all.push(probed);
    let label = "FIN_WAIT2: orphan, TCP_LINGER2 61";
    let mut late = reach(host, family, Opening::Active, Mark::None, State::FinWait2, label);
    late.socket().linger_in_fin_wait2(61).unwrap();
    drop(late.socket.take());
    all.push(late);
    all
}

/// Keepalive probes that the peer does not answer.
fn keepalive(host: &Host, family: Family) -> Vec<Connection<'_>> {
    let states = [State::Established, State::CloseWait, State::FinWait2];
    let each = |state: State| {
        let label = format!("{}: keepalive", state.name());
        let one = reach(host, family, Opening::Active, Mark::None, state, &label);
        one.socket().keep_alive(Duration::from_secs(1), 1).unwrap();
        one
    };
    states.into_iter().map(each).collect()
}

/// The host's own routes go away while it waits for an answer. `None` if changes were lost.
pub fn without_route(host: &Host, trace: &mut Trace) -> Option<()> {
    let mut all = Vec::new();
    for family in FAMILIES {
        for state in [State::SynSent, State::SynRecv, State::FinWait1, State::Closing, State::LastAck] {
            let label = format!("{}: route gone", state.name());
            let one = reach(host, family, Opening::Active, Mark::None, state, &label);
            one.socket().user_timeout(SOON).unwrap();
            all.push(one);
        }
        for state in [State::Established, State::CloseWait] {
            let label = format!("{}: data, route gone", state.name());
            let one = reach(host, family, Opening::Active, Mark::None, state, &label);
            one.socket().user_timeout(SOON).unwrap();
            one.write(b"data");
            all.push(one);
            let label = format!("{}: window probes, route gone", state.name());
            let mut one = reach(host, family, Opening::Active, Mark::None, state, &label);
            one.socket().user_timeout(SOON).unwrap();
            probe(&mut one);
            all.push(one);
        }
        all.extend(keepalive(host, family));
    }
    let late = [State::Established, State::CloseWait].map(|state| {
        let label = format!("{}: data, blackhole route", state.name());
        let one = reach(host, Family::Ipv4, Opening::Active, Mark::None, state, &label);
        one.write(b"data");
        one
    });
    let mut half_open = host.connection(Family::Ipv4, "SYN received, route gone, ACK received");
    half_open.listen(|family| Tcp::new(family).unwrap());
    half_open.receives_syn();
    let ip = |arguments: &str| {
        let done = host.inside.enter(|| Command::new("ip").args(arguments.split(' ')).status()).unwrap();
        assert!(done.unwrap().success(), "ip {arguments}");
    };
    ip("route del 10.13.14.0/24");
    ip("-6 route del fd13:14::/64");
    // The child has no route to its peer.
    half_open.receives(Flags::ACK, b"");
    expire(&all, trace)?;
    // Another error than ICMP leaves.
    ip("route add blackhole 10.13.14.0/24");
    for one in &late {
        one.socket().user_timeout(SOON).unwrap();
    }
    expire(&late, trace)?;
    let mut none = host.connection(Family::Ipv4, "connect without a route");
    none.bind(|family| Tcp::new(family).unwrap());
    none.socket().connect_once(none.remote).unwrap_err();
    Event::Close.happens(&mut none);
    Some(())
}

/// Orphans alone have the namespace, whose devices are gone. Returns what happened on each port; `None` if changes were lost.
pub fn without_namespace(host: Host, trace: &mut Trace) -> Option<BTreeMap<u16, String>> {
    let mut places = Vec::new();
    for family in FAMILIES {
        for state in [State::FinWait1, State::Closing, State::LastAck] {
            let label = format!("{} orphan: its namespace has gone", state.name());
            let mut one = reach(&host, family, Opening::Active, Mark::None, state, &label);
            drop(one.socket.take());
            places.push(one.place());
        }
    }
    let labels = host.labels();
    drop(host);
    places.into_iter().try_for_each(|place| place.wait_for_end(trace))?;
    Some(labels)
}
