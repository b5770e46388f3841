//! Calls of bind(2) that failed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use probe_ebpf::{BindRecord, OPTION_REUSE_ADDR, OPTION_REUSE_PORT, OPTION_V6_ONLY, UNKNOWN_U32};

use super::{
    error::DecodeError,
    values::{endpoint, family, netns, protocol, task},
};
use crate::model::{
    BindFailure, BindOptions, Cgroup, Endpoint, Endpoints, Errno, Family, Mono, SocketIdentity,
};

pub(super) fn decode(record: &BindRecord) -> Result<BindFailure, DecodeError> {
    let family = family(record.family)?;
    let errno = i32::try_from(record.error)
        .map_err(|_| DecodeError::Value { field: "error", value: record.error })?;
    Ok(BindFailure {
        at: Mono(record.header.mono_ns),
        cpu: record.header.cpu,
        task: task(&record.task),
        cgroup: (record.cgroup != 0).then_some(Cgroup { id: record.cgroup, path: None }),
        cookie: (record.cookie != 0).then_some(record.cookie),
        identity: SocketIdentity {
            netns: netns(record.netns),
            protocol: protocol(record.protocol)?,
            family,
            endpoints: Endpoints::unconnected(requested(record, family)),
        },
        errno: Errno(errno),
        options: options(record),
        holders: Vec::new(),
        is_queried: false,
        opener_fates: Vec::new(),
    })
}

fn options(record: &BindRecord) -> BindOptions {
    let known = (record.options != UNKNOWN_U32).then_some(record.options);
    let has = |option| known.map(|known| known & option != 0);
    let number = |number| (number != UNKNOWN_U32).then_some(number);
    BindOptions {
        reuse_addr: has(OPTION_REUSE_ADDR),
        reuse_port: has(OPTION_REUSE_PORT),
        v6_only: has(OPTION_V6_ONLY),
        device: number(record.device),
        uid: number(record.uid),
    }
}

/// The requested address, which may have another family than the socket. An IPv4 socket takes an address without a family
/// for IPv4 (`__inet_bind`). Any other family is shown as unspecified: the kernel rejects it without reading the address.
fn requested(record: &BindRecord, socket: Family) -> Endpoint {
    let kind = match i32::from(record.address_family) {
        nix::libc::AF_INET => Some(Family::Ipv4),
        nix::libc::AF_INET6 => Some(Family::Ipv6),
        nix::libc::AF_UNSPEC => (socket == Family::Ipv4).then_some(Family::Ipv4),
        _ => None,
    };
    match kind {
        Some(kind) => endpoint(kind, record.addr, record.port),
        None => Endpoint::new(unspecified(socket), 0),
    }
}

fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use probe_ebpf::{KIND_BIND, RecordHeader};
    use zerocopy::{FromZeros, IntoBytes};

    use super::*;
    use crate::{
        model::{Backend, Input, Protocol},
        source::decode::{ResetReasons, decode as decode_record},
    };

    const AF_UNSPEC: u16 = 0;
    const AF_UNIX: u16 = 1;
    const AF_INET: u16 = 2;
    const AF_INET6: u16 = 10;

    fn record(family: u16, address_family: u16) -> BindRecord {
        let mut record = BindRecord::new_zeroed();
        record.header = RecordHeader { kind: KIND_BIND, cpu: 1, lost: 0, mono_ns: 5 };
        record.error = 98;
        record.protocol = 6;
        record.family = family;
        record.address_family = address_family;
        record.port = 1314;
        record.addr[..4].copy_from_slice(&[127, 0, 0, 1]);
        record
    }

    fn local(family: u16, address_family: u16) -> String {
        decode(&record(family, address_family)).expect("well-formed").local().to_string()
    }

    #[test]
    fn a_record_becomes_a_bind_failure() {
        let mut record = record(AF_INET, AF_INET);
        record.cgroup = 7;
        record.task.tgid = 42;
        let Ok(Input::BindFailed(failure)) =
            decode_record(&record.header, record.as_bytes(), Backend::TpBtf, &ResetReasons::default())
        else {
            panic!("not a failed bind")
        };
        assert_eq!((failure.errno, failure.identity.protocol), (Errno::EADDRINUSE, Protocol::Tcp));
        assert_eq!(failure.local().to_string(), "127.0.0.1:1314");
        assert_eq!(failure.cgroup, Some(Cgroup { id: 7, path: None }));
        assert_eq!(failure.task.map(|task| task.pid), Some(42));
        assert_eq!((failure.cookie, failure.identity.netns), (None, None));
    }

    #[test]
    fn the_sockets_options_are_known_or_not() {
        let mut record = record(AF_INET6, AF_INET6);
        record.options = OPTION_REUSE_ADDR | OPTION_V6_ONLY;
        (record.device, record.uid) = (3, 1000);
        let known = BindOptions {
            reuse_addr: Some(true),
            reuse_port: Some(false),
            v6_only: Some(true),
            device: Some(3),
            uid: Some(1000),
        };
        assert_eq!(decode(&record).expect("well-formed").options, known);
        (record.options, record.device, record.uid) = (UNKNOWN_U32, UNKNOWN_U32, UNKNOWN_U32);
        assert_eq!(decode(&record).expect("well-formed").options, BindOptions::default());
    }

    #[test]
    fn an_address_may_have_another_family_than_the_socket() {
        assert_eq!(local(AF_INET6, AF_INET6), "[7f00:1::]:1314");
        assert_eq!(local(AF_INET6, AF_INET), "127.0.0.1:1314");
        assert_eq!(local(AF_INET, AF_UNSPEC), "127.0.0.1:1314");
        assert_eq!(local(AF_INET6, AF_UNSPEC), "[::]:*");
        assert_eq!(local(AF_INET, AF_UNIX), "0.0.0.0:*");
    }

    #[test]
    fn a_malformed_record_is_rejected() {
        let udp = BindRecord { protocol: 17, ..record(AF_INET, AF_INET) };
        assert_eq!(decode(&udp), Err(DecodeError::Value { field: "protocol", value: 17 }));
        assert!(decode(&record(AF_UNIX, AF_UNIX)).is_err());
    }
}
