//! Times in a time namespace, whose CLOCK_MONOTONIC is not the one that the kernel's reports have.

use jiff::{SignedDuration, Timestamp};

use crate::support::{PROGRAM, Probe};

#[test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
fn times_are_those_of_the_host() {
    // Seconds. The clock must not go below 0, so that a host that has just started allows no more than some.
    for offset in [0, 100_000, -5] {
        let arguments = format!("--time --monotonic={offset} {PROGRAM} run self-connect --format json");
        let objects = Probe::of("unshare", &arguments).run().exits(0).silently().objects();
        let now = Timestamp::now();
        let transitions: Vec<_> = objects.of("transition").collect();
        assert!(!transitions.is_empty());
        for transition in transitions {
            let time: Timestamp = transition["time"].as_str().expect("a time").parse().expect("RFC 3339");
            let age = now.duration_since(time);
            assert!(
                age > SignedDuration::ZERO && age < SignedDuration::from_mins(1),
                "{offset} s: a transition {age:?} ago"
            );
        }
    }
}
