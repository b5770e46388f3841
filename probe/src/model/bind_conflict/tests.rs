//! Pairs of sockets, and whether the kernel lets both have the port. `tests/bind_conflict.rs` binds such pairs.

use Conflict::{Certain, No, Possible};

use super::*;
use crate::model::{
    Endpoints,
    testing::{UNSHARED, diag_entry, endpoint},
};

/// The same as sock_diag reports it of a listener.
const LISTED: BindOptions = BindOptions { reuse_addr: None, reuse_port: None, ..UNSHARED };

fn holder(state: State, local: &str, options: BindOptions) -> DiagEntry {
    DiagEntry { options, ..diag_entry(1, state, local, "0.0.0.0:0") }
}

fn between(local: &str, options: BindOptions, holder: &DiagEntry) -> Conflict {
    let identity = SocketIdentity::tcp(Some(1), Endpoints::unconnected(endpoint(local)));
    conflict(&identity, &options, holder)
}

/// With a listener at this address.
fn with_listener(local: &str, holder_at: &str, v6_only: bool) -> Conflict {
    let listed = BindOptions { v6_only: Some(v6_only), ..LISTED };
    between(local, UNSHARED, &holder(State::Listen, holder_at, listed))
}

#[test]
fn addresses_of_one_family_conflict_where_they_are_equal_or_one_is_a_wildcard() {
    for (one, other, expected) in [
        ("127.0.0.1:80", "127.0.0.1:80", Certain),
        ("127.0.0.1:80", "127.0.0.2:80", No),
        ("127.0.0.1:80", "0.0.0.0:80", Certain),
        ("0.0.0.0:80", "127.0.0.1:80", Certain),
        ("[::1]:80", "[::1]:80", Certain),
        ("[::1]:80", "[::2]:80", No),
        ("[::]:80", "[::1]:80", Certain),
    ] {
        assert_eq!(with_listener(one, other, other.contains("::1")), expected, "{one} {other}");
    }
    // A wildcard that is IPv6 only covers every IPv6 address.
    assert_eq!(with_listener("[::1]:80", "[::]:80", true), Certain);
}

#[test]
fn a_wildcard_conflicts_with_ipv4_unless_it_is_ipv6_only() {
    for local in ["127.0.0.1:80", "0.0.0.0:80", "[::ffff:127.0.0.1]:80"] {
        assert_eq!(with_listener(local, "[::]:80", false), Certain, "{local}");
        assert_eq!(with_listener(local, "[::]:80", true), No, "{local}");
        // A listener that is bound to an IPv6 address is IPv6 only.
        assert_eq!(with_listener(local, "[::1]:80", true), No, "{local}");
    }
    let v4 = holder(State::Listen, "127.0.0.1:80", LISTED);
    for (v6_only, expected) in [(Some(false), Certain), (Some(true), No), (None, Possible)] {
        assert_eq!(between("[::]:80", BindOptions { v6_only, ..UNSHARED }, &v4), expected);
    }
    assert_eq!(between("[::1]:80", UNSHARED, &v4), No);
}

/// sock_diag does not report IPV6_V6ONLY of these. A client whose address connect(2) chose conflicts with 0.0.0.0, and
/// one that is bound to an IPv6 address does not.
#[test]
fn whether_a_connection_is_ipv6_only_is_open() {
    let connection = holder(State::Established, "[::1]:80", BindOptions { v6_only: None, ..LISTED });
    assert_eq!(between("0.0.0.0:80", UNSHARED, &connection), Possible);
    assert_eq!(between("127.0.0.1:80", UNSHARED, &connection), No);
    assert_eq!(between("[::]:80", UNSHARED, &connection), Certain);
}

#[test]
fn two_devices_do_not_conflict() {
    let on = |device| BindOptions { device, ..LISTED };
    let bind = |own, other| {
        between(
            "0.0.0.0:80",
            BindOptions { device: own, ..UNSHARED },
            &holder(State::Listen, "0.0.0.0:80", on(other)),
        )
    };
    assert_eq!(bind(Some(1), Some(2)), No);
    assert_eq!(bind(Some(1), Some(1)), Certain);
    assert_eq!([bind(Some(1), Some(0)), bind(Some(0), Some(1)), bind(Some(0), None)], [Certain; 3]);
    assert_eq!(bind(Some(1), None), Possible);
}

#[test]
fn so_reuseaddr_shares_with_all_but_listeners() {
    let reuse = BindOptions { reuse_addr: Some(true), ..UNSHARED };
    for state in [State::TimeWait, State::Established, State::Close, State::LastAck, State::Listen] {
        let held = |reuse_addr| holder(state, "127.0.0.1:80", BindOptions { reuse_addr, ..UNSHARED });
        let shared = if state == State::Listen { Certain } else { No };
        let open = if state == State::Listen { Certain } else { Possible };
        assert_eq!(between("127.0.0.1:80", reuse, &held(Some(true))), shared, "{state}");
        assert_eq!(between("127.0.0.1:80", reuse, &held(None)), open, "{state}");
        assert_eq!(between("127.0.0.1:80", reuse, &held(Some(false))), Certain, "{state}");
        assert_eq!(between("127.0.0.1:80", UNSHARED, &held(Some(true))), Certain, "{state}");
    }
}

#[test]
fn so_reuseport_shares_with_sockets_of_the_same_user() {
    let reuse = BindOptions { reuse_port: Some(true), ..UNSHARED };
    let held = |state, reuse_port, uid| {
        holder(state, "127.0.0.1:80", BindOptions { reuse_port, uid: Some(uid), ..UNSHARED })
    };
    let bind = |row: DiagEntry| between("127.0.0.1:80", reuse, &row);
    assert_eq!(bind(held(State::Listen, Some(true), 1000)), No);
    assert_eq!(bind(held(State::Listen, Some(true), 1001)), Certain);
    assert_eq!(bind(held(State::Listen, None, 1000)), Possible);
    assert_eq!(bind(held(State::Listen, None, 1001)), Certain);
    assert_eq!(bind(held(State::Listen, Some(false), 1000)), Certain);
    // sock_diag reports no user of a mini-socket, and the kernel ignores it.
    assert_eq!(bind(held(State::TimeWait, Some(true), 0)), No);
    assert_eq!(between("127.0.0.1:80", UNSHARED, &held(State::Listen, Some(true), 1000)), Certain);
}

#[test]
fn request_sockets_and_mptcp_sockets_hold_no_port() {
    let request = holder(State::SynRecv, "127.0.0.1:80", BindOptions::default());
    assert_eq!(between("127.0.0.1:80", UNSHARED, &request), No);
    let simultaneous_open = DiagEntry { inode: Some(7), ..request };
    assert_eq!(between("127.0.0.1:80", UNSHARED, &simultaneous_open), Certain);
    let mut mptcp = holder(State::Listen, "127.0.0.1:80", LISTED);
    mptcp.identity.protocol = Protocol::Mptcp;
    assert_eq!(between("127.0.0.1:80", UNSHARED, &mptcp), No);
}

#[test]
fn without_options_a_conflict_is_possible() {
    let unknown = BindOptions::default();
    let row = |local| holder(State::TimeWait, local, unknown);
    assert_eq!(between("127.0.0.1:80", unknown, &row("127.0.0.1:80")), Possible);
    assert_eq!(between("127.0.0.1:80", unknown, &row("127.0.0.2:80")), No);
}
