//! Which causes no workload reaches, and why.

use std::collections::BTreeSet;

use probe::model::Cause;

/// Causes that only a recording of an earlier version has: the programs of this one read the fields which decide.
const EARLIER_VERSIONS: &[&str] = &[
    // `segs_in`
    "RST or ICMP port unreachable received",
    // `snd_una`, `snd_nxt` and `write_seq`
    "retransmissions or window probes exhausted",
    "retransmissions or window probes exhausted after an ICMP error or a lost route",
    "retransmissions, probes or keepalive exhausted",
    "retransmissions, probes or keepalive exhausted after an ICMP error or a lost route",
    // `sk_err_soft`
    "timed out or closed, after an ICMP error or a lost route",
];

/// Causes that no workload reaches for another reason.
const UNREACHED: &[(&str, &str)] = &[
    (
        "closed with an error",
        "neither TCP nor ICMP nor a route leaves such an error; other modules do, such as kTLS (EBADMSG)",
    ),
    (
        "destroyed after CLOSE",
        "tcp_abort sets an error first. Before Linux 6.10 it reports the error before the transition, so that the owner may \
         have read it by then: a race",
    ),
    (
        "orphan dropped: out of memory, or netns gone",
        "the limits tcp_max_orphans and tcp_mem are the whole host's, with all other tests; and orphans whose namespace has \
         gone ended by their timer in every run",
    ),
    (
        "orphan: FIN_WAIT2 timewait socket",
        "where tcp_time_wait ends in a jump to tcp_done, it is not on the stack",
    ),
    ("unknown transition", "Linux is not known to make one"),
];

/// Panics where a cause is not reached and not listed, or listed and reached.
pub fn check(reached: &BTreeSet<String>) {
    let all: BTreeSet<&str> = Cause::ALL.iter().map(|cause| cause.detail()).collect();
    let missing: BTreeSet<&str> = all.iter().copied().filter(|cause| !reached.contains(*cause)).collect();
    let others = UNREACHED.iter().map(|(cause, _)| *cause);
    let listed: BTreeSet<&str> = EARLIER_VERSIONS.iter().copied().chain(others).collect();
    assert_eq!(missing, listed, "left: not reached, right: listed as such");
    let unknown: Vec<_> = reached.iter().filter(|cause| !all.contains(cause.as_str())).collect();
    assert!(unknown.is_empty(), "no cause has these texts: {unknown:?}");
}
