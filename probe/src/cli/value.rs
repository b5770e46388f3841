//! Parsers of flag values. Clap quotes the value; each error says what is accepted, with an example.

use std::{
    ffi::{OsStr, OsString},
    net::{IpAddr, SocketAddr},
    os::unix::ffi::OsStrExt as _,
    str::FromStr,
    time::Duration,
};

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use nix::unistd::{SysconfVar, sysconf};

use crate::model::{Name, PortRange};

/// A duration such as `40ms`, `2s` or `1m 30s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    if text.parse::<f64>().is_ok_and(f64::is_finite) {
        return Err(format!("a duration needs a unit, e.g. {}s", text.trim_start_matches(['-', '+'])));
    }
    let span: SignedDuration =
        text.parse().map_err(|_| "expected a number and a unit, e.g. 40ms, 2s or 1m 30s".to_owned())?;
    Duration::try_from(span).map_err(|_| "a duration cannot be negative; give one such as 2s".to_owned())
}

/// A [`duration`] that is not zero.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("the duration must be longer than 0s, e.g. 5s".to_owned()),
        positive => Ok(positive),
    }
}

/// A whole number of at least 1.
pub fn positive<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| *number >= T::from(1));
    number.ok_or_else(|| "expected a whole number, at least 1, e.g. 10".to_owned())
}

/// A process id.
pub fn pid(text: &str) -> Result<u32, String> {
    positive(text).map_err(|_| "expected a process id, e.g. 4711".to_owned())
}

/// An address with a port.
pub fn endpoint(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected IP:PORT, e.g. 192.0.2.1:1314 or [2001:db8::1]:1314".to_owned())
}

/// A time in RFC 3339.
pub fn timestamp(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "expected an RFC 3339 time with an offset, e.g. 2026-11-22T12:00:00Z".to_owned())
}

/// A port, or a range of them: `80`, `8000-8999`.
pub fn ports(text: &str) -> Result<PortRange, String> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    if first > last {
        return Err(format!("the range is reversed: write {last}-{first}"));
    }
    Ok(first..=last)
}

fn port(text: &str) -> Result<u16, String> {
    match text.trim().parse::<u16>() {
        Ok(0) => Err("no socket has port 0: expected 1 to 65535, e.g. 443".to_owned()),
        Ok(port) => Ok(port),
        Err(_) => Err(format!("`{text}` is not a port: expected 1 to 65535, or a range such as 8000-8999")),
    }
}

/// An address, or a network in CIDR notation. A v4-mapped one becomes its IPv4 address or network.
pub fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(addr) = text.parse::<IpAddr>() {
        return Ok(addr.to_canonical().into());
    }
    let net: IpNet = text.parse().map_err(|_| {
        "expected an address or a network, e.g. 10.1.2.3, 10.0.0.0/8 or 2001:db8::/32".to_owned()
    })?;
    let net = without_v4_mapping(net);
    if net.addr() != net.network() {
        return Err(format!(
            "{} has bits set beyond the /{} prefix: write {} for the network or {} for the address",
            net.addr(),
            net.prefix_len(),
            net.trunc(),
            net.addr()
        ));
    }
    Ok(net)
}

/// The IPv4 network for one within `::ffff:0:0/96`.
fn without_v4_mapping(net: IpNet) -> IpNet {
    const MAPPED_PREFIX: u8 = 96;
    let prefix = net.prefix_len().checked_sub(MAPPED_PREFIX);
    match (net.addr().to_canonical(), prefix) {
        (addr @ IpAddr::V4(_), Some(prefix)) if net.addr().is_ipv6() => {
            IpNet::new(addr, prefix).expect("at most 128 - 96 = 32 bits are left")
        }
        _ => net,
    }
}

/// The longest process name that the kernel stores: TASK_COMM_LEN without its NUL.
const MAX_COMM: usize = 15;

/// A process name, as the kernel stores it.
pub fn comm(text: OsString) -> Result<Name, String> {
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return Err("a process name cannot be empty; give one such as nginx".to_owned());
    }
    if bytes.len() > MAX_COMM {
        let stored = OsStr::from_bytes(&bytes[..MAX_COMM]);
        return Err(format!(
            "the kernel stores only {MAX_COMM} bytes of a process name, so this never matches: write `{}`",
            stored.display()
        ));
    }
    Ok(Name::from_bytes(bytes))
}

/// The largest ring buffer: a power of two in 32 bits.
const MAX_RING: u64 = 1 << 31;

/// The size of a ring buffer: a power of two, since positions are masked, and whole pages, since it is mapped.
pub fn ring_size(text: &str) -> Result<u32, String> {
    let bytes = bytes(text)
        .ok_or_else(|| "expected a size in bytes, or with KiB, MiB or GiB, e.g. 64KiB".to_owned())?;
    let page = page_size();
    if bytes.is_power_of_two() && (page..=MAX_RING).contains(&bytes) {
        return Ok(u32::try_from(bytes).expect("the largest ring has 32 bits"));
    }
    let above = bytes.checked_next_power_of_two().unwrap_or(MAX_RING).clamp(page, MAX_RING);
    let below = if bytes > MAX_RING { MAX_RING } else { (above / 2).max(page) };
    let good = if above == below { size(above) } else { format!("{} or {}", size(below), size(above)) };
    Err(format!(
        "the ring size must be a power of two from {} (one page) to {}: use {good}",
        size(page),
        size(MAX_RING)
    ))
}

/// Parses a number of bytes with an optional unit.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Formats a size in the largest unit that divides it.
fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let largest = units.into_iter().find(|(shift, _)| bytes.trailing_zeros() >= *shift);
    largest.map_or_else(|| format!("{bytes} bytes"), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

fn page_size() -> u64 {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).expect("POSIX requires a page size")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expects an error that contains each of `words`.
    #[track_caller]
    fn rejected<T: std::fmt::Debug>(result: Result<T, String>, words: &[&str]) {
        let error = result.unwrap_err();
        for word in words {
            assert!(error.contains(word), "no `{word}` in: {error}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("40ms"), Ok(Duration::from_millis(40)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        rejected(duration("-1s"), &["cannot be negative"]);
        rejected(duration("40"), &["needs a unit, e.g. 40s"]);
        rejected(duration("-1.5"), &["needs a unit, e.g. 1.5s"]);
        rejected(duration("soon"), &["e.g. 40ms, 2s or 1m 30s"]);
        rejected(duration(""), &["e.g. 40ms"]);
        assert_eq!(positive_duration("1ns"), Ok(Duration::from_nanos(1)));
        rejected(positive_duration("0ms"), &["longer than 0s"]);
    }

    #[test]
    fn numbers_start_at_one() {
        assert_eq!(positive::<u32>("1"), Ok(1));
        assert_eq!(pid("4711"), Ok(4711));
        for wrong in ["0", "-1", "", "many", "4294967296"] {
            rejected(positive::<u32>(wrong), &["at least 1", "e.g. 10"]);
            rejected(pid(wrong), &["process id", "e.g. 4711"]);
        }
    }

    #[test]
    fn endpoints_and_times_are_rejected_with_an_example() {
        assert_eq!(endpoint("10.0.0.1:80"), Ok(SocketAddr::from(([10, 0, 0, 1], 80))));
        for wrong in ["10.0.0.1", "localhost:80", "2001:db8::1:1314", ":80"] {
            rejected(endpoint(wrong), &["IP:PORT", "[2001:db8::1]:1314"]);
        }
        assert!(timestamp("2026-11-22T13:00:00.5+01:00").is_ok());
        for wrong in ["noon", "12:00", "2026-11-22"] {
            rejected(timestamp(wrong), &["RFC 3339", "2026-11-22T12:00:00Z"]);
        }
    }

    #[test]
    fn ports_are_single_or_a_range() {
        assert_eq!(ports("80"), Ok(80..=80));
        assert_eq!(ports("1-65535"), Ok(1..=65535));
        rejected(ports("0"), &["1 to 65535"]);
        rejected(ports("0-10"), &["1 to 65535"]);
        rejected(ports("65536"), &["`65536`", "1 to 65535"]);
        rejected(ports("9000-8000"), &["8000-9000"]);
        for wrong in ["", "-", "80-", "-80", "http", "80:90"] {
            rejected(ports(wrong), &["is not a port", "8000-8999"]);
        }
    }

    #[test]
    fn networks_have_no_host_bits() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        assert_eq!(network("10.1.2.3"), Ok(net("10.1.2.3/32")));
        assert_eq!(network("10.0.0.0/8"), Ok(net("10.0.0.0/8")));
        assert_eq!(network("::1"), Ok(net("::1/128")));
        rejected(network("10.1.2.3/8"), &["10.0.0.0/8", "10.1.2.3 for the address"]);
        rejected(network("2001:db8::1/32"), &["2001:db8::/32"]);
        for wrong in ["localhost", "10.0.0.0/33", "10.0.0", "", "fe80::1%lo"] {
            rejected(network(wrong), &["10.0.0.0/8"]);
        }
    }

    #[test]
    fn a_v4_mapped_network_becomes_ipv4() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        assert_eq!(network("::ffff:10.1.2.3"), Ok(net("10.1.2.3/32")));
        assert_eq!(network("::ffff:10.0.0.0/104"), Ok(net("10.0.0.0/8")));
        assert_eq!(network("::/0"), Ok(net("::/0")));
    }

    #[test]
    fn a_process_name_that_never_matches_is_rejected() {
        assert_eq!(comm("nginx".into()), Ok(Name::from_bytes(b"nginx")));
        assert_eq!(comm("123456789012345".into()), Ok(Name::from_bytes(b"123456789012345")));
        rejected(comm("systemd-resolved".into()), &["15 bytes", "`systemd-resolve`"]);
        rejected(comm(OsString::new()), &["cannot be empty"]);
    }

    #[test]
    fn ring_sizes_are_powers_of_two() {
        assert_eq!(ring_size("4MiB"), Ok(4 << 20));
        assert_eq!(ring_size("64k"), Ok(64 << 10));
        assert_eq!(ring_size("65536"), Ok(65536));
        assert_eq!(ring_size("2GiB"), Ok(1 << 31));
        rejected(ring_size("100KiB"), &["64KiB or 128KiB"]);
        rejected(ring_size("3MiB"), &["2MiB or 4MiB"]);
        rejected(ring_size("4GiB"), &["use 2GiB"]);
        rejected(ring_size("0"), &["power of two"]);
        for wrong in ["", "big", "-1", "1.5MiB", "4 apples", "99999999999999999999", "99999999999GiB"] {
            rejected(ring_size(wrong), &["expected a size in bytes", "64KiB"]);
        }
    }

    #[test]
    fn a_ring_is_at_least_one_page() {
        let page = page_size();
        assert_eq!(ring_size(&page.to_string()).map(u64::from), Ok(page));
        rejected(ring_size(&(page / 2).to_string()), &[&format!("use {}", size(page))]);
    }
}
