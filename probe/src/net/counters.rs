//! The kernel's TCP counters of a network namespace, by their `nstat` names without the `Tcp` or `TcpExt` prefix.

use std::{collections::HashMap, fs, io};

/// The files below /proc/net and the line prefixes: RFC 4022's counters, and Linux's own.
const FILES: [(&str, &str); 2] = [("snmp", "Tcp:"), ("netstat", "TcpExt:")];

/// The counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters(HashMap<String, u64>);

impl Counters {
    /// The increase of a counter, such as `TCPChallengeACK`, since `before`; `None` if this kernel does not have it.
    #[must_use]
    pub fn since(&self, before: &Self, name: &str) -> Option<u64> {
        Some(self.0.get(name)?.wrapping_sub(*before.0.get(name)?))
    }
}

/// Reads the counters of the calling thread's namespace.
///
/// # Errors
/// /proc is not mounted.
pub fn read() -> io::Result<Counters> {
    let mut counters = HashMap::new();
    for (file, prefix) in FILES {
        let text = fs::read_to_string(format!("/proc/thread-self/net/{file}"))?;
        counters.extend(parse(&text, prefix));
    }
    Ok(Counters(counters))
}

/// Parses the table with this prefix: a line of names and a line of numbers. Negative numbers are limits, not counters,
/// and are skipped.
fn parse(text: &str, prefix: &str) -> impl Iterator<Item = (String, u64)> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
    let (names, numbers) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    names
        .split_whitespace()
        .zip(numbers.split_whitespace())
        .filter_map(|(name, number)| Some((name.to_owned(), number.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Family,
        net::{Namespace, Tcp},
    };

    #[test]
    fn names_and_numbers_are_paired() {
        let text = "Ip: Forwarding\nIp: 1\nTcp: RtoMin MaxConn OutSegs\nTcp: 200 -1 7\n";
        let all: Vec<_> = parse(text, "Tcp:").collect();
        assert_eq!(all, [("RtoMin".to_owned(), 200), ("OutSegs".to_owned(), 7)]);
        assert_eq!(parse(text, "TcpExt:").count(), 0);
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn a_refused_connect_is_counted() {
        let check = || {
            let before = read().unwrap();
            let refused = Tcp::new(Family::Ipv4).unwrap().begin_connect("127.0.0.1:1314".parse().unwrap());
            assert_eq!(refused, Ok(()));
            let after = read().unwrap();
            assert_eq!(after.since(&before, "ActiveOpens"), Some(1));
            assert_eq!(after.since(&before, "OutRsts"), Some(1));
            assert_eq!(after.since(&before, "TCPChallengeACK"), Some(0));
            assert_eq!(after.since(&before, "NoSuchCounter"), None);
        };
        Namespace::private().unwrap().enter(check).unwrap();
    }
}
