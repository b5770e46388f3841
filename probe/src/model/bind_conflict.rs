//! Whether two sockets can have a port at the same time.
//!
//! As the kernel decides at bind(2) to a port: `inet_bind_conflict` with `relax` and `reuseport_ok`, and
//! `ipv6_rcv_saddr_equal`. What the host does not report of a socket is `None`, and where the decision depends on it, it
//! is open.

use std::net::IpAddr;

use super::{DiagEntry, Family, Protocol, SocketIdentity, State};

/// The options of a socket that decide whether it can share its port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BindOptions {
    /// SO_REUSEADDR. sock_diag does not report it.
    pub reuse_addr: Option<bool>,
    /// SO_REUSEPORT. sock_diag does not report it.
    pub reuse_port: Option<bool>,
    /// IPV6_V6ONLY. sock_diag reports it of a socket in LISTEN or CLOSE.
    pub v6_only: Option<bool>,
    /// The index of the device that it is bound to (SO_BINDTODEVICE); 0 for none.
    pub device: Option<u32>,
    /// The user id of its creator: SO_REUSEPORT shares a port among the sockets of one user.
    pub uid: Option<u32>,
}

/// Whether a socket keeps another from binding its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conflict {
    /// It does.
    Certain,
    /// It does or does not, by what the host does not report.
    Possible,
    /// It does not.
    No,
}

/// Whether `holder` keeps a socket with this identity and these options from binding the holder's port, in the holder's
/// namespace.
#[must_use]
pub fn conflict(binding: &SocketIdentity, options: &BindOptions, holder: &DiagEntry) -> Conflict {
    let overlap = all([
        Some(holds_port(holder)),
        addresses_overlap((binding, options), holder),
        devices_overlap(options.device, holder.options.device),
    ]);
    match all([overlap, not(can_share(options, holder))]) {
        Some(true) => Conflict::Certain,
        Some(false) => Conflict::No,
        None => Conflict::Possible,
    }
}

/// Whether it is in the kernel's table of bound ports: an MPTCP socket is not, its subflows are; nor is a request socket
/// (SYN_RECV without a descriptor), whose listener is.
fn holds_port(holder: &DiagEntry) -> bool {
    let is_request = matches!(holder.state, State::SynRecv | State::NewSynRecv) && holder.inode.is_none();
    holder.identity.protocol == Protocol::Tcp && !is_request
}

/// Whether a segment could match both, by their local addresses (`inet_rcv_saddr_equal`).
fn addresses_overlap(
    (binding, options): (&SocketIdentity, &BindOptions),
    holder: &DiagEntry,
) -> Option<bool> {
    let [one, other] =
        [binding.endpoints.local, holder.identity.endpoints.local].map(|end| end.addr.to_canonical());
    let takes_v4 = not(holder.options.v6_only);
    match (one, other) {
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
            Some(one == other || one.is_unspecified() || other.is_unspecified())
        }
        (IpAddr::V4(_), IpAddr::V6(_)) if other.is_unspecified() => takes_v4,
        // A bind to an IPv6 address makes the socket IPv6 only. One that has its address from connect(2), or from a
        // listener on [::], is not, and its IPv4 address is LOOPBACK4_IPV6.
        (IpAddr::V4(_), IpAddr::V6(_)) if one.is_unspecified() && binding.family == Family::Ipv4 => takes_v4,
        (IpAddr::V4(_), IpAddr::V6(_)) => Some(false),
        (IpAddr::V6(_), IpAddr::V4(_)) => all([Some(one.is_unspecified()), not(options.v6_only)]),
    }
}

fn devices_overlap(one: Option<u32>, other: Option<u32>) -> Option<bool> {
    let is_unbound = |device: Option<u32>| device.map(|device| device == 0);
    any([is_unbound(one), is_unbound(other), one.zip(other).map(|(one, other)| one == other)])
}

/// Whether both let the other have the port.
fn can_share(options: &BindOptions, holder: &DiagEntry) -> Option<bool> {
    let other = &holder.options;
    let same_user =
        any([Some(holder.is_mini()), options.uid.zip(other.uid).map(|(one, other)| one == other)]);
    any([
        all([options.reuse_addr, other.reuse_addr, Some(holder.state != State::Listen)]),
        all([options.reuse_port, other.reuse_port, same_user]),
    ])
}

/// Whether all are true; `None` where that depends on one that is unknown.
fn all<const N: usize>(facts: [Option<bool>; N]) -> Option<bool> {
    let is_open = facts.contains(&None);
    if facts.contains(&Some(false)) { Some(false) } else { (!is_open).then_some(true) }
}

/// Whether one is true; `None` where that depends on one that is unknown.
fn any<const N: usize>(facts: [Option<bool>; N]) -> Option<bool> {
    not(all(facts.map(not)))
}

fn not(fact: Option<bool>) -> Option<bool> {
    fact.map(|fact| !fact)
}

#[cfg(test)]
mod tests;
