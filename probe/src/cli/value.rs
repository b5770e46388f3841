//! Values as people write them. Each refusal says what is wrong and what to write instead.

use std::{
    ffi::{OsStr, OsString},
    net::IpAddr,
    os::unix::ffi::OsStrExt as _,
    time::Duration,
};

use ipnet::IpNet;
use jiff::SignedDuration;
use nix::unistd::{SysconfVar, sysconf};

use crate::model::{Name, PortRange};

/// A span of time such as `40ms`, `2s` or `1m 30s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let span: SignedDuration =
        text.parse().map_err(|error| format!("{error}; write it like 40ms, 2s or 1m 30s"))?;
    Duration::try_from(span).map_err(|_| "a span of time cannot be negative".to_owned())
}

/// A [`duration`] in which something can happen.
pub fn span(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("that is no time at all: take more".to_owned()),
        span => Ok(span),
    }
}

/// A port, or a range of them: `80`, `8000-8999`.
pub fn ports(text: &str) -> Result<PortRange, String> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    if first > last {
        return Err(format!("that range runs backwards: write {last}-{first}"));
    }
    Ok(first..=last)
}

fn port(text: &str) -> Result<u16, String> {
    match text.trim().parse::<u16>() {
        Ok(0) => Err("no socket has port 0: ports are 1 to 65535".to_owned()),
        Ok(port) => Ok(port),
        Err(_) => {
            Err(format!("`{text}` is no port: write a number from 1 to 65535, or a range like 8000-8999"))
        }
    }
}

/// An address, or a network in CIDR notation. A v4-mapped one is its IPv4 address or network.
pub fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(addr) = text.parse::<IpAddr>() {
        return Ok(addr.to_canonical().into());
    }
    let net: IpNet = text.parse().map_err(|_| {
        format!("`{text}` is no address and no network: write it like 10.1.2.3, 10.0.0.0/8 or 2001:db8::/32")
    })?;
    let net = unmapped(net);
    if net.addr() != net.network() {
        return Err(format!(
            "{} has bits beyond the first {}: write {} for the network, or {} for the one address",
            net.addr(),
            net.prefix_len(),
            net.trunc(),
            net.addr()
        ));
    }
    Ok(net)
}

/// The IPv4 network for one within `::ffff:0:0/96`.
fn unmapped(net: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let prefix = net.prefix_len().checked_sub(MAPPED);
    match (net.addr().to_canonical(), prefix) {
        (addr @ IpAddr::V4(_), Some(prefix)) if net.addr().is_ipv6() => {
            IpNet::new(addr, prefix).expect("128 - 96 bits are left at most")
        }
        _ => net,
    }
}

/// The longest name that the kernel keeps of a process: TASK_COMM_LEN without its NUL.
const LONGEST_NAME: usize = 15;

/// The name of a process, as the kernel has it.
pub fn comm(text: OsString) -> Result<Name, String> {
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return Err("that is no name".to_owned());
    }
    if bytes.len() > LONGEST_NAME {
        let kept = OsStr::from_bytes(&bytes[..LONGEST_NAME]);
        return Err(format!(
            "the kernel keeps {LONGEST_NAME} bytes of a name, so this never fits: write `{}`",
            kept.display()
        ));
    }
    Ok(Name::from_bytes(bytes))
}

/// The largest ring: its size is a power of two in 32 bits.
const LARGEST_RING: u64 = 1 << 31;

/// The size of the rings: positions in one are told by their bits, and its chunks are pages.
pub fn ring_size(text: &str) -> Result<u32, String> {
    let bytes = bytes(text)
        .ok_or_else(|| format!("`{text}` is no size: write it in bytes, or like 64KiB or 4MiB"))?;
    let page = page_size();
    if bytes.is_power_of_two() && (page..=LARGEST_RING).contains(&bytes) {
        return Ok(u32::try_from(bytes).expect("the largest ring has 32 bits"));
    }
    let above = bytes.checked_next_power_of_two().unwrap_or(LARGEST_RING).clamp(page, LARGEST_RING);
    let below = if bytes > LARGEST_RING { LARGEST_RING } else { (above / 2).max(page) };
    let good = if above == below { size(above) } else { format!("{} or {}", size(below), size(above)) };
    Err(format!(
        "a ring is a power of two, from a page of {} to {}: take {good}",
        size(page),
        size(LARGEST_RING)
    ))
}

/// A number of bytes with its unit, if any.
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

/// A size in the largest unit that takes it whole.
fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = units.into_iter().find(|(shift, _)| bytes.trailing_zeros() >= *shift);
    whole.map_or_else(|| format!("{bytes} bytes"), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

fn page_size() -> u64 {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).expect("POSIX: there is a page size")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The refusal, which must have all of these words.
    #[track_caller]
    fn refused<T: std::fmt::Debug>(result: Result<T, String>, words: &[&str]) {
        let refusal = result.unwrap_err();
        for word in words {
            assert!(refusal.contains(word), "no `{word}` in: {refusal}");
        }
    }

    #[test]
    fn spans_of_time_are_read_as_people_write_them() {
        assert_eq!(duration("40ms"), Ok(Duration::from_millis(40)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(duration("-1s").is_err());
        assert!(duration("40").is_err());
        assert_eq!(span("1ns"), Ok(Duration::from_nanos(1)));
        assert!(span("0ms").is_err());
    }

    #[test]
    fn ports_are_one_or_a_range() {
        assert_eq!(ports("80"), Ok(80..=80));
        assert_eq!(ports("1-65535"), Ok(1..=65535));
        refused(ports("0"), &["1 to 65535"]);
        refused(ports("0-10"), &["1 to 65535"]);
        refused(ports("65536"), &["`65536`", "1 to 65535"]);
        refused(ports("9000-8000"), &["8000-9000"]);
        for wrong in ["", "-", "80-", "-80", "http", "80:90"] {
            refused(ports(wrong), &["is no port", "8000-8999"]);
        }
    }

    #[test]
    fn networks_are_written_without_host_bits() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        assert_eq!(network("10.1.2.3"), Ok(net("10.1.2.3/32")));
        assert_eq!(network("10.0.0.0/8"), Ok(net("10.0.0.0/8")));
        assert_eq!(network("::1"), Ok(net("::1/128")));
        refused(network("10.1.2.3/8"), &["10.0.0.0/8", "10.1.2.3 for the one"]);
        refused(network("2001:db8::1/32"), &["2001:db8::/32"]);
        for wrong in ["localhost", "10.0.0.0/33", "10.0.0", "", "fe80::1%lo"] {
            refused(network(wrong), &["10.0.0.0/8"]);
        }
    }

    #[test]
    fn a_v4_mapped_network_is_meant_by_its_ipv4() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        assert_eq!(network("::ffff:10.1.2.3"), Ok(net("10.1.2.3/32")));
        assert_eq!(network("::ffff:10.0.0.0/104"), Ok(net("10.0.0.0/8")));
        assert_eq!(network("::/0"), Ok(net("::/0")));
    }

    #[test]
    fn a_name_that_never_fits_is_refused() {
        assert_eq!(comm("nginx".into()), Ok(Name::from_bytes(b"nginx")));
        assert_eq!(comm("123456789012345".into()), Ok(Name::from_bytes(b"123456789012345")));
        refused(comm("systemd-resolved".into()), &["15 bytes", "`systemd-resolve`"]);
        refused(comm(OsString::new()), &["no name"]);
    }

    #[test]
    fn rings_are_powers_of_two() {
        assert_eq!(ring_size("4MiB"), Ok(4 << 20));
        assert_eq!(ring_size("64k"), Ok(64 << 10));
        assert_eq!(ring_size("65536"), Ok(65536));
        assert_eq!(ring_size("2GiB"), Ok(1 << 31));
        refused(ring_size("100KiB"), &["64KiB or 128KiB"]);
        refused(ring_size("3MiB"), &["2MiB or 4MiB"]);
        refused(ring_size("4GiB"), &["take 2GiB"]);
        refused(ring_size("0"), &["power of two"]);
        for wrong in ["", "big", "-1", "1.5MiB", "4 apples", "99999999999999999999", "99999999999GiB"] {
            refused(ring_size(wrong), &["is no size"]);
        }
    }

    #[test]
    fn a_ring_has_a_page_at_least() {
        let page = page_size();
        assert_eq!(ring_size(&page.to_string()).map(u64::from), Ok(page));
        refused(ring_size(&(page / 2).to_string()), &[&format!("take {}", size(page))]);
    }
}
