//! What the two hosts have agreed on, seen from one of them.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use jiff::Timestamp;

/// The longest payload in bytes. Both ends write before they read, so each must fit what the other's
/// kernel takes in unread.
pub const LONGEST_PAYLOAD: usize = 16 * 1024;

/// The longest window. Clocks that differ by more need their hands set.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// What was agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
    /// When both connect.
    pub at: Timestamp,
    /// For how long after that a refused end tries again.
    pub window: Duration,
    /// What this end sends.
    pub payload: String,
}

/// Why a plan cannot work out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// One end IPv4, the other IPv6.
    #[error("--local is an {local} address and --peer an {peer} one: take the same family for both")]
    Families {
        /// This end's.
        local: &'static str,
        /// The other's.
        peer: &'static str,
    },
    /// A port that nobody can know.
    #[error("{0} has port 0: each end has to know the other's port, so agree on one")]
    Port(&'static str),
    /// An address that is none in particular.
    #[error("{0} is no host's address: name the one that the other end connects to")]
    Unspecified(&'static str),
    /// An address of many hosts.
    #[error("{0} is a multicast or broadcast address: TCP connects two hosts, so name one")]
    Many(&'static str),
    /// Both ends the same.
    #[error(
        "--local and --peer are the same, which would be a self-connect: take another port or address for the peer, \
         or see `probe run self-connect`"
    )]
    Itself,
    /// Nothing to send.
    #[error("--payload is empty: the peer could not tell it from none")]
    NoPayload,
    /// Too much to send.
    #[error("--payload has {0} bytes: {LONGEST_PAYLOAD} are the most")]
    LongPayload(usize),
    /// Too long to try.
    #[error("--window is longer than a day: set the clocks of both hosts instead")]
    LongWindow,
}

impl Plan {
    /// Looks for what makes the plan impossible from the start.
    ///
    /// # Errors
    /// The first such thing.
    pub fn check(&self) -> Result<(), PlanError> {
        let ends = [("--local", self.local), ("--peer", self.peer)];
        let family = |end: SocketAddr| if end.is_ipv4() { "IPv4" } else { "IPv6" };
        if family(self.local) != family(self.peer) {
            return Err(PlanError::Families { local: family(self.local), peer: family(self.peer) });
        }
        for (flag, end) in ends {
            if end.port() == 0 {
                return Err(PlanError::Port(flag));
            }
            if end.ip().to_canonical().is_unspecified() {
                return Err(PlanError::Unspecified(flag));
            }
            if is_of_many(end.ip().to_canonical()) {
                return Err(PlanError::Many(flag));
            }
        }
        if (self.local.ip(), self.local.port()) == (self.peer.ip(), self.peer.port()) {
            return Err(PlanError::Itself);
        }
        match self.payload.len() {
            0 => Err(PlanError::NoPayload),
            length if length > LONGEST_PAYLOAD => Err(PlanError::LongPayload(length)),
            _ if self.window > LONGEST_WINDOW => Err(PlanError::LongWindow),
            _ => Ok(()),
        }
    }
}

/// Whether every host of a group, or of the link, answers to this address. (A subnet's broadcast address looks
/// like any other; connect(2) refuses it.)
fn is_of_many(address: IpAddr) -> bool {
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
    fn two_different_ends_of_one_family_will_do() {
        check("10.0.0.1:1314", "10.0.0.2:1314", Ok(()));
        check("10.0.0.1:1314", "10.0.0.1:1315", Ok(()));
        check("[fd13:14::1]:1314", "[fd13:14::2]:1314", Ok(()));
        check("[::ffff:10.0.0.1]:1314", "[::ffff:10.0.0.2]:1314", Ok(()));
    }

    #[test]
    fn what_cannot_work_is_named() {
        let families = PlanError::Families { local: "IPv4", peer: "IPv6" };
        check("10.0.0.1:1314", "[fd13:14::2]:1314", Err(families));
        check("10.0.0.1:0", "10.0.0.2:1314", Err(PlanError::Port("--local")));
        check("10.0.0.1:1314", "10.0.0.2:0", Err(PlanError::Port("--peer")));
        check("0.0.0.0:1314", "10.0.0.2:1314", Err(PlanError::Unspecified("--local")));
        check("[fd13::1]:1314", "[::]:1314", Err(PlanError::Unspecified("--peer")));
        for many in ["224.0.0.1:1314", "255.255.255.255:1314"] {
            check("10.0.0.1:1314", many, Err(PlanError::Many("--peer")));
            check(many, "10.0.0.2:1314", Err(PlanError::Many("--local")));
        }
        check("[fd13::1]:1314", "[ff02::1]:1314", Err(PlanError::Many("--peer")));
        check("[::ffff:10.0.0.1]:1314", "[::ffff:224.0.0.1]:1314", Err(PlanError::Many("--peer")));
        check("10.0.0.1:1314", "10.0.0.1:1314", Err(PlanError::Itself));
    }

    #[test]
    fn payload_and_window_have_their_limits() {
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
