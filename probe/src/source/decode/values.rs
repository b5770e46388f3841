//! The values that several kinds of records have in common.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use probe_ebpf::TaskRecord;

use super::error::DecodeError;
use crate::model::{Endpoint, Family, Name, Protocol, State, Task};

pub(super) fn protocol(number: u16) -> Result<Protocol, DecodeError> {
    match i32::from(number) {
        nix::libc::IPPROTO_TCP => Ok(Protocol::Tcp),
        nix::libc::IPPROTO_MPTCP => Ok(Protocol::Mptcp),
        _ => Err(DecodeError::Value { field: "protocol", value: number.into() }),
    }
}

pub(super) fn family(number: u16) -> Result<Family, DecodeError> {
    match i32::from(number) {
        nix::libc::AF_INET => Ok(Family::Ipv4),
        nix::libc::AF_INET6 => Ok(Family::Ipv6),
        _ => Err(DecodeError::Value { field: "family", value: number.into() }),
    }
}

pub(super) fn address(family: Family, bytes: [u8; 16]) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into(),
        Family::Ipv6 => Ipv6Addr::from(bytes).into(),
    }
}

/// An endpoint of a socket of this family.
pub(super) fn endpoint(family: Family, addr: [u8; 16], port: u16) -> Endpoint {
    Endpoint::new(address(family, addr), port)
}

/// The network namespace; 0 is unknown.
pub(super) fn netns(inode: u32) -> Option<u32> {
    (inode != 0).then_some(inode)
}

pub(super) fn state(field: &'static str, number: u8) -> Result<State, DecodeError> {
    State::from_kernel(number).ok_or(DecodeError::Value { field, value: number.into() })
}

/// The task, if it is a process. Thread group 0 is the idle task or a kernel thread, which the event merely interrupted.
pub(super) fn task(record: &TaskRecord) -> Option<Task> {
    (record.tgid != 0).then(|| Task {
        pid: record.tgid,
        uid: record.uid,
        comm: Name::from_bytes(&record.comm),
    })
}
