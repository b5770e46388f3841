//! Which of the kernel's reports are about which of the story's sockets.

use std::collections::{HashMap, HashSet};

use super::story::Actor;
use crate::model::{Endpoints, Mono, SocketId, State, Transition};

/// The transitions of each actor, in the order of the cast, each life in the order of the reports.
pub(crate) fn lives<'a>(cast: &[Actor], transitions: &'a [Transition]) -> Vec<Vec<&'a Transition>> {
    let mut lives = vec![Vec::new(); cast.len()];
    for (transition, place) in transitions.iter().zip(places(cast, transitions)) {
        if let Some(place) = place {
            lives[place].push(transition);
        }
    }
    lives
}

/// For each transition the place of its socket in the cast; `None` where it plays no part.
///
/// A cookie settles it. The fallback backend sees one only once somebody has asked for it, as drivers do
/// with SO_COOKIE, or none at all. A socket without is matched by ends: in the order in which they
/// opened, each is the first actor that is left and whose ends agree. That needs a cast in the order of
/// opening, which drivers keep, and nobody else's sockets.
pub(crate) fn places(cast: &[Actor], transitions: &[Transition]) -> Vec<Option<usize>> {
    let ids = ids(transitions);
    let sockets = sockets(transitions, &ids);
    let by_cookie: HashMap<u64, usize> =
        cast.iter().enumerate().map(|(place, actor)| (actor.cookie, place)).collect();
    let mut places: HashMap<SocketId, usize> =
        sockets.iter().filter_map(|socket| Some((socket.id, *by_cookie.get(&socket.cookie?)?))).collect();
    let mut left: Vec<usize> =
        (0..cast.len()).filter(|place| !places.values().any(|taken| taken == place)).collect();
    let mut take = |fits: &dyn Fn(&Actor) -> bool| {
        let at = left.iter().position(|place| fits(&cast[*place]))?;
        Some(left.remove(at))
    };
    for socket in sockets.iter().filter(|socket| socket.cookie.is_none()) {
        let is_it = |actor: &Actor| match socket.unnamed {
            Some(first) => is_child_of(actor, first),
            None => agree(actor.ends, socket.ends),
        };
        if let Some(place) = take(&is_it) {
            places.insert(socket.id, place);
        }
    }
    ids.iter()
        .zip(transitions)
        .map(|(id, transition)| match id {
            Some(id) => places.get(id).copied(),
            None => take(&|actor| is_child_of(actor, transition)),
        })
        .collect()
}

/// What a stream says of a socket.
struct Seen<'a> {
    id: SocketId,
    opened: Mono,
    cookie: Option<u64>,
    /// The last known.
    ends: Endpoints,
    /// A child of which nothing has come yet but the first, which does not know the remote end.
    unnamed: Option<&'a Transition>,
}

/// Every socket in the order of opening.
fn sockets<'a>(transitions: &'a [Transition], ids: &[Option<SocketId>]) -> Vec<Seen<'a>> {
    let mut sockets: HashMap<SocketId, Seen> = HashMap::new();
    for (transition, id) in transitions.iter().zip(ids) {
        let (&Some(id), Transition { at, cookie, ends, .. }) = (id, transition) else { continue };
        let unnamed = begins_without_remote(transition).then_some(transition);
        let new = Seen { id, opened: *at, cookie: None, ends: *ends, unnamed };
        let socket = sockets.entry(id).or_insert(new);
        socket.unnamed = unnamed;
        // The latest, for a child's first may be its listener's.
        socket.cookie = cookie.or(socket.cookie);
        socket.ends = ends.or_earlier(socket.ends);
    }
    let mut sockets: Vec<Seen> = sockets.into_values().collect();
    sockets.sort_by_key(|socket| socket.opened);
    sockets
}

/// Whose each transition is. A child that begins under its listener's name is given its own, or `None`
/// where that has not come yet.
fn ids(transitions: &[Transition]) -> Vec<Option<SocketId>> {
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
            let latest = |fits: fn(&Transition, &Transition) -> bool| {
                unnamed.iter().rposition(|index| fits(&transitions[*index], transition))
            };
            // It follows in the same softirq as a rule; but a child of Fast Open stays in SYN_RECV.
            let first = latest(|first, second| first.cpu == second.cpu && is_of_one_listener(first, second));
            if let Some(place) = first.or_else(|| latest(is_of_one_listener)) {
                ids[unnamed.remove(place)] = Some(transition.socket);
            }
        }
        ids.push(Some(transition.socket));
    }
    ids
}

/// Whether this is a child's first transition under its listener's cookie. The fallback backend knows sockets by their
/// addresses, which are their own.
fn is_unnamed_child(transition: &Transition) -> bool {
    begins_without_remote(transition) && transition.cookie == Some(transition.socket.number)
}

/// Whether this is a child's first transition on a kernel that sets the state first, and the identity and the remote port
/// after: up to Linux 6.12 at least.
fn begins_without_remote(transition: &Transition) -> bool {
    transition.edge() == (State::Listen, State::SynRecv) && transition.ends.remote.port.is_none()
}

/// Whether two transitions can be of one listener's children.
fn is_of_one_listener(one: &Transition, other: &Transition) -> bool {
    (one.netns, one.ends.local) == (other.netns, other.ends.local)
}

/// Whether an actor can be the child that is still without a name: one that was accepted there.
fn is_child_of(actor: &Actor, first: &Transition) -> bool {
    let accepted = actor.ends.remote.port.is_some();
    let local = actor.ends.local.canonical() == first.ends.local.canonical();
    accepted && local && first.netns.is_none_or(|netns| netns == actor.netns)
}

/// Whether an actor's ends can be these. The kernel chooses an unbound socket's port, so a local port
/// that one side does not know agrees with any; a listener's remote end agrees with a listener's only.
fn agree(actor: Endpoints, seen: Endpoints) -> bool {
    let (ours, theirs) = (actor.local.canonical(), seen.local.canonical());
    let port = ours.port == theirs.port || ours.port.is_none() || theirs.port.is_none();
    ours.addr == theirs.addr && port && actor.remote.canonical() == seen.remote.canonical()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::State::{Close, Established, Listen, SynRecv, SynSent},
        scenario::testing::{actor, life, without_cookies},
    };

    #[test]
    fn a_cookie_settles_it() {
        let client = actor(1, "127.0.0.1:12345", "127.0.0.1:80");
        let twin = actor(2, "127.0.0.1:12345", "127.0.0.1:80");
        let stranger = actor(3, "127.0.0.1:12345", "127.0.0.1:80");
        let transitions = [&twin, &stranger, &client].map(|actor| life(actor, 1, &[Close, SynSent])).concat();
        assert_eq!(places(&[client, twin], &transitions), [Some(1), None, Some(0)]);
    }

    #[test]
    fn a_child_that_begins_under_its_listeners_cookie_is_found() {
        let listener = actor(1, "127.0.0.1:80", "0.0.0.0:0");
        let child = actor(2, "127.0.0.1:80", "127.0.0.1:12345");
        let transitions = [
            life(&listener, 1, &[Close, Listen]),
            life(&listener, 2, &[Listen, SynRecv]),
            life(&child, 3, &[SynRecv, Established]),
            life(&listener, 4, &[Listen, SynRecv]),
            life(&listener, 9, &[Listen, Close]),
        ]
        .concat();
        let expected = [Some(0), Some(1), Some(1), None, Some(0)];
        assert_eq!(places(&[listener, child], &transitions), expected);
    }

    #[test]
    fn a_child_that_stays_in_syn_recv_is_found_by_its_port_until_it_has_a_name() {
        let listener = actor(1, "127.0.0.1:80", "0.0.0.0:0");
        let fast = actor(2, "127.0.0.1:80", "127.0.0.1:12345");
        let ordinary = actor(3, "127.0.0.1:80", "127.0.0.1:12346");
        let on = |cpu, life: Vec<Transition>| -> Vec<Transition> {
            life.into_iter().map(|transition| Transition { cpu, ..transition }).collect()
        };
        let cast = [listener.clone(), fast.clone()];
        let mut transitions = on(0, life(&listener, 1, &[Close, Listen, SynRecv]));
        assert_eq!(places(&cast, &transitions), [0, 1].map(Some));
        let unnamed = life(&actor(4, "127.0.0.1:80", "0.0.0.0:0"), 2, &[Listen, SynRecv]);
        let fallback = without_cookies([life(&listener, 1, &[Close, Listen]), unnamed].concat());
        assert_eq!(places(&cast, &fallback), [0, 1].map(Some));
        // Another child comes on the same CPU, and the first one's next transition on another.
        transitions.extend(on(0, life(&listener, 3, &[Listen, SynRecv])));
        transitions.extend(on(0, life(&ordinary, 4, &[SynRecv, Established])));
        transitions.extend(on(1, life(&fast, 5, &[SynRecv, Established])));
        assert_eq!(places(&[listener, fast, ordinary], &transitions), [0, 1, 2, 2, 1].map(Some));
    }

    #[test]
    fn a_cookie_that_comes_late_counts_from_the_beginning() {
        let listener = actor(1, "127.0.0.1:80", "0.0.0.0:0");
        let child = actor(2, "127.0.0.1:80", "127.0.0.1:12345");
        let transitions = [
            life(&listener, 1, &[Close, Listen]),
            without_cookies(life(&child, 2, &[Listen, SynRecv, Established])),
            life(&child, 4, &[Established, Close]),
        ]
        .concat();
        assert_eq!(places(&[listener, child], &transitions), [0, 1, 1, 1].map(Some));
    }

    #[test]
    fn without_cookies_equal_ends_go_by_the_order_of_opening() {
        let client = actor(1, "127.0.0.1:12345", "127.0.0.1:80");
        let twin = actor(2, "127.0.0.1:12345", "127.0.0.1:80");
        let child = actor(3, "127.0.0.1:80", "127.0.0.1:12345");
        let listener = actor(4, "127.0.0.1:80", "0.0.0.0:0");
        let transitions = without_cookies(
            [
                life(&listener, 1, &[Close, Listen]),
                life(&client, 2, &[Close, SynSent, Established]),
                life(&child, 3, &[Listen, SynRecv, Established]),
                life(&twin, 9, &[Close, SynSent, Close]),
                life(&client, 11, &[Established, Close]),
            ]
            .concat(),
        );
        let cast = [listener, client, child, twin];
        let expected = [0, 1, 1, 2, 2, 3, 3, 1].map(Some);
        assert_eq!(places(&cast, &transitions), expected);
        let lengths: Vec<_> = lives(&cast, &transitions).iter().map(Vec::len).collect();
        assert_eq!(lengths, [1, 3, 2, 2]);
    }

    #[test]
    fn without_cookies_an_unbound_sockets_port_may_come_late() {
        // A refused one keeps no port that the driver could ask for; the kernel reports it at CLOSE.
        let (first, second) = (actor(1, "[::1]:0", "[::1]:1314"), actor(2, "[::1]:0", "[::1]:1314"));
        let (seen, hit) = (actor(1, "[::1]:1312", "[::1]:1314"), actor(2, "[::1]:1314", "[::1]:1314"));
        let transitions = without_cookies(
            [
                life(&first, 1, &[Close, SynSent]),
                life(&seen, 2, &[SynSent, Close]),
                life(&second, 3, &[Close, SynSent]),
                life(&hit, 4, &[SynSent, SynRecv]),
            ]
            .concat(),
        );
        assert_eq!(places(&[first, second], &transitions), [0, 0, 1, 1].map(Some));
    }

    #[test]
    fn without_cookies_other_ends_play_no_part() {
        let ours = actor(1, "127.0.0.1:1314", "127.0.0.1:1315");
        let elsewhere = life(&actor(3, "127.0.0.1:1314", "127.0.0.1:1316"), 2, &[Close, SynSent]);
        let turned = life(&actor(4, "127.0.0.1:1315", "127.0.0.1:1314"), 2, &[Close, SynSent]);
        let transitions = without_cookies([elsewhere, turned, life(&ours, 3, &[Close, SynSent])].concat());
        assert_eq!(places(&[ours], &transitions), [None, None, Some(0)]);
    }
}
