//! What the two hosts have agreed on, from the view of this host.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use jiff::Timestamp;

/// The longest payload, in bytes. Both hosts write before they read, so each payload must fit into the
/// other's receive buffer.
pub const LONGEST_PAYLOAD: usize = 16 * 1024;

/// The longest window. Clocks that differ by more must be set.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// What the two hosts have agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// This host's endpoint.
    pub local: SocketAddr,
    /// The peer's endpoint.
    pub peer: SocketAddr,
    /// The time at which both connect.
    pub at: Timestamp,
    /// How long after that time a refused host keeps connecting.
    pub window: Duration,
    /// What this host sends.
    pub payload: String,
}

/// Why a plan is impossible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// One endpoint is IPv4, the other IPv6.
    #[error("--local is an {local} address and --peer an {peer} address: use the same family for both")]
    Families {
        /// This host's family.
        local: &'static str,
        /// The peer's family.
        peer: &'static str,
    },
    /// A port is 0.
    #[error("{0} has port 0: each host has to know the other's port, so agree on one")]
    Port(&'static str),
    /// An address is unspecified (0.0.0.0 or ::).
    #[error("{0} has the unspecified address: use the address that the other host connects to")]
    Unspecified(&'static str),
    /// An address is a multicast or broadcast address.
    #[error("{0} has a multicast or broadcast address, which TCP does not support: use a unicast address")]
    NotUnicast(&'static str),
    /// Both endpoints are the same.
    #[error(
        "--local and --peer are the same, which would be a self-connect: use another port or address for the peer, or \
         run `probe run self-connect`"
    )]
    SameEndpoint,
    /// The payload is empty.
    #[error("--payload is empty: send at least one byte, so that the peer can check that it arrived")]
    NoPayload,
    /// The payload is longer than [`LONGEST_PAYLOAD`].
    #[error("--payload has {0} bytes, and the maximum is {LONGEST_PAYLOAD}")]
    LongPayload(usize),
    /// The window is longer than [`LONGEST_WINDOW`].
    #[error("--window is longer than 24h: set the clocks of both hosts instead")]
    LongWindow,
}

impl Plan {
    /// Checks that the plan is possible.
    ///
    /// # Errors
    /// The first reason why it is not.
    pub fn check(&self) -> Result<(), PlanError> {
        let endpoints = [("--local", self.local), ("--peer", self.peer)];
        let family = |endpoint: SocketAddr| if endpoint.is_ipv4() { "IPv4" } else { "IPv6" };
        if family(self.local) != family(self.peer) {
            return Err(PlanError::Families { local: family(self.local), peer: family(self.peer) });
        }
        for (flag, endpoint) in endpoints {
            if endpoint.port() == 0 {
                return Err(PlanError::Port(flag));
            }
            if endpoint.ip().to_canonical().is_unspecified() {
                return Err(PlanError::Unspecified(flag));
            }
            if is_multicast_or_broadcast(endpoint.ip().to_canonical()) {
                return Err(PlanError::NotUnicast(flag));
            }
        }
        if (self.local.ip(), self.local.port()) == (self.peer.ip(), self.peer.port()) {
            return Err(PlanError::SameEndpoint);
        }
        match self.payload.len() {
            0 => Err(PlanError::NoPayload),
            length if length > LONGEST_PAYLOAD => Err(PlanError::LongPayload(length)),
            _ if self.window > LONGEST_WINDOW => Err(PlanError::LongWindow),
            _ => Ok(()),
        }
    }
}

/// Whether this is a multicast address or the limited broadcast address. A subnet's broadcast address cannot
/// be told from a unicast address here; connect(2) refuses it.
fn is_multicast_or_broadcast(address: IpAddr) -> bool {
    address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(local: &str, peer: &str) -> Plan {
        Plan {
            local: local.parse().unwrap(),
            peer: peer.parse().unwrap(),
            at: Timestamp::UNIX_EPOCH,
            window: Duration::from_secs(2),
            payload: "I love you.".to_owned(),
        }
    }

    #[track_caller]
    fn check(local: &str, peer: &str, expected: Result<(), PlanError>) {
        assert_eq!(plan(local, peer).check(), expected);
    }

    #[test]
    fn two_different_endpoints_of_one_family_are_accepted() {
        check("10.0.0.1:1314", "10.0.0.2:1314", Ok(()));
        check("10.0.0.1:1314", "10.0.0.1:1315", Ok(()));
        check("[fd13:14::1]:1314", "[fd13:14::2]:1314", Ok(()));
        check("[::ffff:10.0.0.1]:1314", "[::ffff:10.0.0.2]:1314", Ok(()));
    }

    #[test]
    fn impossible_endpoints_are_rejected() {
        let families = PlanError::Families { local: "IPv4", peer: "IPv6" };
        check("10.0.0.1:1314", "[fd13:14::2]:1314", Err(families));
        check("10.0.0.1:0", "10.0.0.2:1314", Err(PlanError::Port("--local")));
        check("10.0.0.1:1314", "10.0.0.2:0", Err(PlanError::Port("--peer")));
        check("0.0.0.0:1314", "10.0.0.2:1314", Err(PlanError::Unspecified("--local")));
        check("[fd13::1]:1314", "[::]:1314", Err(PlanError::Unspecified("--peer")));
        for address in ["224.0.0.1:1314", "255.255.255.255:1314"] {
            check("10.0.0.1:1314", address, Err(PlanError::NotUnicast("--peer")));
            check(address, "10.0.0.2:1314", Err(PlanError::NotUnicast("--local")));
        }
        check("[fd13::1]:1314", "[ff02::1]:1314", Err(PlanError::NotUnicast("--peer")));
        check("[::ffff:10.0.0.1]:1314", "[::ffff:224.0.0.1]:1314", Err(PlanError::NotUnicast("--peer")));
        check("10.0.0.1:1314", "10.0.0.1:1314", Err(PlanError::SameEndpoint));
    }

    #[test]
    fn payload_and_window_have_limits() {
        let good = plan("10.0.0.1:1314", "10.0.0.2:1314");
        let payload = |length| Plan { payload: "x".repeat(length), ..good.clone() }.check();
        assert_eq!(payload(0), Err(PlanError::NoPayload));
        assert_eq!(payload(LONGEST_PAYLOAD), Ok(()));
        assert_eq!(payload(LONGEST_PAYLOAD + 1), Err(PlanError::LongPayload(LONGEST_PAYLOAD + 1)));
        let window = |window| Plan { window, ..good.clone() }.check();
        assert_eq!(window(LONGEST_WINDOW), Ok(()));
        assert_eq!(window(LONGEST_WINDOW + Duration::from_nanos(1)), Err(PlanError::LongWindow));
    }
}
