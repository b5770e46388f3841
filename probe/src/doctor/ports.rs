//! Lists of ports, as `ip_local_reserved_ports` has them.

use std::collections::BTreeSet;

use crate::model::PortRange;

/// The list with these ports added: sorted, and adjacent ranges joined, as the kernel formats it.
pub fn merge(list: &[PortRange], ports: impl IntoIterator<Item = u16>) -> Vec<PortRange> {
    let all: BTreeSet<u16> = list.iter().cloned().flatten().chain(ports).collect();
    let mut merged: Vec<PortRange> = Vec::new();
    for port in all {
        match merged.last_mut() {
            Some(last) if last.end().checked_add(1) == Some(port) => *last = *last.start()..=port,
            _ => merged.push(port..=port),
        }
    }
    merged
}

/// Formats a list for sysctl: `8080,9148,10000-10100`.
pub fn text(list: &[PortRange]) -> String {
    let items = list.iter().map(|range| {
        if range.start() == range.end() {
            range.start().to_string()
        } else {
            format!("{}-{}", range.start(), range.end())
        }
    });
    items.collect::<Vec<_>>().join(",")
}

/// Whether the list contains the port.
pub fn contains(list: &[PortRange], port: u16) -> bool {
    list.iter().any(|range| range.contains(&port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(list: &[PortRange], ports: &[u16], expected: &str) {
        assert_eq!(text(&merge(list, ports.iter().copied())), expected);
    }

    #[test]
    fn ports_in_the_list_are_kept() {
        let list = [8080..=8080, 9148..=9148, 10000..=10100];
        check(&list, &[], "8080,9148,10000-10100");
        check(&list, &[50051], "8080,9148,10000-10100,50051");
        check(&list, &[10050, 8080], "8080,9148,10000-10100");
        check(&[], &[], "");
    }

    #[test]
    fn adjacent_ranges_are_joined() {
        check(&[10000..=10100], &[10101, 9999], "9999-10101");
        check(&[1..=2, 4..=5], &[3], "1-5");
        check(&[65535..=65535], &[0, 65534], "0,65534-65535");
        check(&[5..=9, 1..=6], &[], "1-9");
    }

    proptest! {
        #[test]
        fn the_merged_list_has_each_port_once_and_no_other(
            list in prop::collection::vec((0_u16..2000, 0_u16..50).prop_map(|(at, more)| at..=at + more), 0..8),
            ports in prop::collection::vec(0_u16..2100, 0..20),
        ) {
            let merged = merge(&list, ports.iter().copied());
            for port in 0..2200 {
                let ranges = merged.iter().filter(|range| range.contains(&port)).count();
                prop_assert_eq!(ranges, usize::from(contains(&list, port) || ports.contains(&port)));
            }
            // At least one missing port lies between two ranges.
            for pair in merged.windows(2) {
                prop_assert!(*pair[0].end() + 1 < *pair[1].start());
            }
        }
    }
}
