//! Which of the kernel's reports belong to which socket of a scenario or behaviour.

use std::collections::{HashMap, HashSet};

use super::labelled_socket::LabelledSocket;
use crate::model::{Endpoints, Mono, SocketId, State, Transition};

/// The transitions of each socket, in the order of `sockets`; each history in the order of the reports.
pub(crate) fn histories<'a>(
    sockets: &[LabelledSocket],
    transitions: &'a [Transition],
) -> Vec<Vec<&'a Transition>> {
    let mut histories = vec![Vec::new(); sockets.len()];
    for (transition, index) in transitions.iter().zip(assign(sockets, transitions)) {
        if let Some(index) = index {
            histories[index].push(transition);
        }
    }
    histories
}

/// For each transition the index of its socket in `sockets`; `None` if it belongs to none of them.
///
/// A cookie decides. The tracepoint backend sees a cookie only once a process has asked for it, as drivers do with
/// SO_COOKIE, or never. A socket without a cookie is matched by its endpoints: in the order in which sockets
/// opened, each is the first unmatched one whose endpoints agree. This requires `sockets` in the order of
/// opening, which drivers keep, and a namespace that no other process uses.
pub(crate) fn assign(sockets: &[LabelledSocket], transitions: &[Transition]) -> Vec<Option<usize>> {
    let ids = socket_ids(transitions);
    let reported = reported_sockets(transitions, &ids);
    let by_cookie: HashMap<u64, usize> =
        sockets.iter().enumerate().map(|(index, socket)| (socket.cookie, index)).collect();
    let mut assigned: HashMap<SocketId, usize> =
        reported.iter().filter_map(|seen| Some((seen.id, *by_cookie.get(&seen.cookie?)?))).collect();
    let mut unmatched: Vec<usize> =
        (0..sockets.len()).filter(|index| !assigned.values().any(|taken| taken == index)).collect();
    let mut take_first = |matches: &dyn Fn(&LabelledSocket) -> bool| {
        let position = unmatched.iter().position(|index| matches(&sockets[*index]))?;
        Some(unmatched.remove(position))
    };
    for seen in reported.iter().filter(|seen| seen.cookie.is_none()) {
        let matches = |socket: &LabelledSocket| match seen.unnamed {
            Some(first) => can_be_child(socket, first),
            None => endpoints_agree(socket.ends, seen.ends),
        };
        if let Some(index) = take_first(&matches) {
            assigned.insert(seen.id, index);
        }
    }
    ids.iter()
        .zip(transitions)
        .map(|(id, transition)| match id {
            Some(id) => assigned.get(id).copied(),
            None => take_first(&|socket| can_be_child(socket, transition)),
        })
        .collect()
}

/// A socket as the reports describe it.
struct ReportedSocket<'a> {
    id: SocketId,
    opened: Mono,
    cookie: Option<u64>,
    /// The last known endpoints.
    ends: Endpoints,
    /// The first transition of a child, without the remote endpoint, while it is the only one reported.
    unnamed: Option<&'a Transition>,
}

/// Every reported socket, in the order of opening.
fn reported_sockets<'a>(transitions: &'a [Transition], ids: &[Option<SocketId>]) -> Vec<ReportedSocket<'a>> {
    let mut sockets: HashMap<SocketId, ReportedSocket> = HashMap::new();
    for (transition, id) in transitions.iter().zip(ids) {
        let (&Some(id), Transition { at, cookie, ends, .. }) = (id, transition) else { continue };
        let unnamed = begins_without_remote(transition).then_some(transition);
        let new = ReportedSocket { id, opened: *at, cookie: None, ends: *ends, unnamed };
        let socket = sockets.entry(id).or_insert(new);
        socket.unnamed = unnamed;
        // The latest cookie: the one of a child's first transition may be its listener's.
        socket.cookie = cookie.or(socket.cookie);
        socket.ends = ends.or_earlier(socket.ends);
    }
    let mut sockets: Vec<ReportedSocket> = sockets.into_values().collect();
    sockets.sort_by_key(|socket| socket.opened);
    sockets
}

/// The socket of each transition. The first transition of a child that is reported under its listener's id gets the
/// child's own id, or `None` if that has not been reported yet.
fn socket_ids(transitions: &[Transition]) -> Vec<Option<SocketId>> {
    let mut ids: Vec<Option<SocketId>> = Vec::with_capacity(transitions.len());
    let mut unnamed: Vec<usize> = Vec::new();
    let mut named = HashSet::new();
    for (index, transition) in transitions.iter().enumerate() {
        if is_unnamed_child(transition) {
            unnamed.push(index);
            ids.push(None);
            continue;
        }
        let is_first = named.insert(transition.socket);
        if is_first && transition.old == State::SynRecv {
            let latest = |matches: fn(&Transition, &Transition) -> bool| {
                unnamed.iter().rposition(|index| matches(&transitions[*index], transition))
            };
            // It usually follows in the same softirq; but a Fast Open child stays in SYN_RECV.
            let first = latest(|first, second| first.cpu == second.cpu && share_listener(first, second));
            if let Some(position) = first.or_else(|| latest(share_listener)) {
                ids[unnamed.remove(position)] = Some(transition.socket);
            }
        }
        ids.push(Some(transition.socket));
    }
    ids
}

/// Whether this is a child's first transition, reported under its listener's cookie. The tracepoint backend
/// identifies sockets by address, and a child's address is its own.
fn is_unnamed_child(transition: &Transition) -> bool {
    begins_without_remote(transition) && transition.cookie == Some(transition.socket.number)
}

/// Whether this is a child's first transition on a kernel that sets the state before the identity and the
/// remote port: before a3a128f611a9 (Linux 6.15).
fn begins_without_remote(transition: &Transition) -> bool {
    transition.edge() == (State::Listen, State::SynRecv) && transition.ends.remote.port.is_none()
}

/// Whether two transitions can belong to children of the same listener.
fn share_listener(one: &Transition, other: &Transition) -> bool {
    (one.netns, one.ends.local) == (other.netns, other.ends.local)
}

/// Whether `socket` can be the child whose first transition is `first`: one that was accepted on this endpoint.
fn can_be_child(socket: &LabelledSocket, first: &Transition) -> bool {
    let accepted = socket.ends.remote.port.is_some();
    let local = socket.ends.local.canonical() == first.ends.local.canonical();
    accepted && local && first.netns.is_none_or(|netns| netns == socket.netns)
}

/// Whether a socket's endpoints can be the reported ones. The kernel chooses the port of an unbound socket, so an
/// unknown local port on either side agrees with any port. The remote endpoints must be equal: a listener's
/// agrees with a listener's only.
fn endpoints_agree(socket: Endpoints, reported: Endpoints) -> bool {
    let (ours, theirs) = (socket.local.canonical(), reported.local.canonical());
    let port = ours.port == theirs.port || ours.port.is_none() || theirs.port.is_none();
    ours.addr == theirs.addr && port && socket.remote.canonical() == reported.remote.canonical()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::State::{Close, Established, Listen, SynRecv, SynSent},
        scenario::testing::{history, socket, without_cookies},
    };

    #[test]
    fn a_cookie_identifies_a_socket() {
        let client = socket(1, "127.0.0.1:12345", "127.0.0.1:80");
        let twin = socket(2, "127.0.0.1:12345", "127.0.0.1:80");
        let other = socket(3, "127.0.0.1:12345", "127.0.0.1:80");
        let transitions = [&twin, &other, &client].map(|twin| history(twin, 1, &[Close, SynSent])).concat();
        assert_eq!(assign(&[client, twin], &transitions), [Some(1), None, Some(0)]);
    }

    #[test]
    fn a_child_first_reported_under_its_listeners_cookie_is_found() {
        let listener = socket(1, "127.0.0.1:80", "0.0.0.0:0");
        let child = socket(2, "127.0.0.1:80", "127.0.0.1:12345");
        let transitions = [
            history(&listener, 1, &[Close, Listen]),
            history(&listener, 2, &[Listen, SynRecv]),
            history(&child, 3, &[SynRecv, Established]),
            history(&listener, 4, &[Listen, SynRecv]),
            history(&listener, 9, &[Listen, Close]),
        ]
        .concat();
        let expected = [Some(0), Some(1), Some(1), None, Some(0)];
        assert_eq!(assign(&[listener, child], &transitions), expected);
    }

    #[test]
    fn a_child_in_syn_recv_is_matched_by_port_until_its_cookie_is_reported() {
        let listener = socket(1, "127.0.0.1:80", "0.0.0.0:0");
        let fast = socket(2, "127.0.0.1:80", "127.0.0.1:12345");
        let ordinary = socket(3, "127.0.0.1:80", "127.0.0.1:12346");
        let on = |cpu, transitions: Vec<Transition>| -> Vec<Transition> {
            transitions.into_iter().map(|transition| Transition { cpu, ..transition }).collect()
        };
        let sockets = [listener.clone(), fast.clone()];
        let mut transitions = on(0, history(&listener, 1, &[Close, Listen, SynRecv]));
        assert_eq!(assign(&sockets, &transitions), [0, 1].map(Some));
        let unnamed = history(&socket(4, "127.0.0.1:80", "0.0.0.0:0"), 2, &[Listen, SynRecv]);
        let fallback = without_cookies([history(&listener, 1, &[Close, Listen]), unnamed].concat());
        assert_eq!(assign(&sockets, &fallback), [0, 1].map(Some));
        // Another child opens on the same CPU, and the first child's next transition is on another CPU.
        transitions.extend(on(0, history(&listener, 3, &[Listen, SynRecv])));
        transitions.extend(on(0, history(&ordinary, 4, &[SynRecv, Established])));
        transitions.extend(on(1, history(&fast, 5, &[SynRecv, Established])));
        assert_eq!(assign(&[listener, fast, ordinary], &transitions), [0, 1, 2, 2, 1].map(Some));
    }

    #[test]
    fn a_cookie_reported_late_applies_to_earlier_transitions() {
        let listener = socket(1, "127.0.0.1:80", "0.0.0.0:0");
        let child = socket(2, "127.0.0.1:80", "127.0.0.1:12345");
        let transitions = [
            history(&listener, 1, &[Close, Listen]),
            without_cookies(history(&child, 2, &[Listen, SynRecv, Established])),
            history(&child, 4, &[Established, Close]),
        ]
        .concat();
        assert_eq!(assign(&[listener, child], &transitions), [0, 1, 1, 1].map(Some));
    }

    #[test]
    fn without_cookies_equal_endpoints_are_matched_in_order_of_opening() {
        let client = socket(1, "127.0.0.1:12345", "127.0.0.1:80");
        let twin = socket(2, "127.0.0.1:12345", "127.0.0.1:80");
        let child = socket(3, "127.0.0.1:80", "127.0.0.1:12345");
        let listener = socket(4, "127.0.0.1:80", "0.0.0.0:0");
        let transitions = without_cookies(
            [
                history(&listener, 1, &[Close, Listen]),
                history(&client, 2, &[Close, SynSent, Established]),
                history(&child, 3, &[Listen, SynRecv, Established]),
                history(&twin, 9, &[Close, SynSent, Close]),
                history(&client, 11, &[Established, Close]),
            ]
            .concat(),
        );
        let sockets = [listener, client, child, twin];
        let expected = [0, 1, 1, 2, 2, 3, 3, 1].map(Some);
        assert_eq!(assign(&sockets, &transitions), expected);
        let lengths: Vec<_> = histories(&sockets, &transitions).iter().map(Vec::len).collect();
        assert_eq!(lengths, [1, 3, 2, 2]);
    }

    #[test]
    fn without_cookies_the_port_of_an_unbound_socket_may_be_reported_late() {
        // A refused socket keeps no port that the driver could query; the kernel reports the port at CLOSE.
        let (first, second) = (socket(1, "[::1]:0", "[::1]:1314"), socket(2, "[::1]:0", "[::1]:1314"));
        let (reported, opened) =
            (socket(1, "[::1]:1312", "[::1]:1314"), socket(2, "[::1]:1314", "[::1]:1314"));
        let transitions = without_cookies(
            [
                history(&first, 1, &[Close, SynSent]),
                history(&reported, 2, &[SynSent, Close]),
                history(&second, 3, &[Close, SynSent]),
                history(&opened, 4, &[SynSent, SynRecv]),
            ]
            .concat(),
        );
        assert_eq!(assign(&[first, second], &transitions), [0, 0, 1, 1].map(Some));
    }

    #[test]
    fn without_cookies_sockets_with_other_endpoints_are_not_assigned() {
        let ours = socket(1, "127.0.0.1:1314", "127.0.0.1:1315");
        let elsewhere = history(&socket(3, "127.0.0.1:1314", "127.0.0.1:1316"), 2, &[Close, SynSent]);
        let reversed = history(&socket(4, "127.0.0.1:1315", "127.0.0.1:1314"), 2, &[Close, SynSent]);
        let transitions =
            without_cookies([elsewhere, reversed, history(&ours, 3, &[Close, SynSent])].concat());
        assert_eq!(assign(&[ours], &transitions), [None, None, Some(0)]);
    }
}
