//! Strategies for property tests. Large ones are boxed: their value trees would overflow the stack of a test.

mod difference;
mod host;
mod kernel;
mod output;
mod session;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use proptest::{array, collection, option, prelude::*, sample::select};

pub use self::{
    difference::{difference, profile},
    host::{facility, hazard},
    output::derived,
};
use super::named::Named;
use crate::model::{
    Backend, Cgroup, Clock, End, Endpoint, Endpoints, Host, Input, Mono, Name, Output, Owner, SocketId,
    SocketIdentity, Task,
};

/// Any input but the end, reports and summaries.
pub fn input() -> BoxedStrategy<Input> {
    prop_oneof![
        1 => (host(), named::<Backend>(), collection::vec(any::<String>(), 0..3), any::<Option<u64>>())
            .prop_map(|(host, backend, unavailable, existing)| Input::Ready { host, backend, unavailable, existing }),
        8 => kernel::input(),
        1 => any::<u64>().prop_map(|now| Input::Tick(Mono(now))),
        4 => session::input(),
    ]
    .boxed()
}

/// Any output.
pub fn output() -> BoxedStrategy<Output> {
    let unchanged = prop_oneof![8 => input(), 1 => end()];
    prop_oneof![
        2 => unchanged.prop_filter_map("only the analysis reads it", |input| input.to_output()),
        6 => derived(),
    ]
    .boxed()
}

/// Any end, with what a recording holds of it.
pub fn end() -> impl Strategy<Value = Input> {
    (duration(), option::of(duration()))
        .prop_map(|(duration, attach)| Input::End(End { duration, attach, ..End::default() }))
}

fn host() -> impl Strategy<Value = Host> {
    (any::<[String; 3]>(), any::<i128>(), mono(), any::<Option<u32>>(), option::of(any::<(u16, u16)>()))
        .prop_map(|(names, offset, ready_at, netns, range)| {
            let [kernel, arch, hostname] = names;
            Host {
                kernel,
                arch,
                hostname,
                clock: Clock { realtime_offset_ns: offset },
                ready_at,
                netns,
                ephemeral: range.map(|(first, last)| first..=last),
            }
        })
}

/// Any variant that has a name.
fn named<T: Named + std::fmt::Debug>() -> impl Strategy<Value = T> {
    select(T::ALL)
}

fn duration() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_nanos)
}

fn mono() -> impl Strategy<Value = Mono> {
    any::<u64>().prop_map(Mono)
}

fn socket() -> impl Strategy<Value = SocketId> {
    (any::<u64>(), any::<u32>()).prop_map(|(number, generation)| SocketId { number, generation })
}

fn owner() -> impl Strategy<Value = Owner> {
    (option::of(task()), option::of(cgroup()), named()).prop_map(|(task, cgroup, known)| Owner {
        task,
        cgroup,
        known,
    })
}

/// A name may be any bytes.
fn task() -> impl Strategy<Value = Task> {
    (any::<u32>(), any::<u32>(), array::uniform15(any::<u8>())).prop_map(|(pid, uid, comm)| Task {
        pid,
        uid,
        comm: Name::from_bytes(&comm),
    })
}

/// A path may be any bytes; some are those of containers.
fn cgroup() -> impl Strategy<Value = Cgroup> {
    let bytes = collection::vec(any::<u8>(), 0..40);
    let container = "/docker/[0-9a-f]{64}".prop_map(String::into_bytes);
    let path = prop_oneof![3 => bytes, 1 => container].prop_map(|path| Name::from_bytes(&path));
    (any::<u64>(), option::of(path)).prop_map(|(id, path)| Cgroup { id, path })
}

fn identity<N: Arbitrary>() -> impl Strategy<Value = SocketIdentity<N>> {
    (any::<N>(), named(), named(), endpoints()).prop_map(|(netns, protocol, family, endpoints)| {
        SocketIdentity { netns, protocol, family, endpoints }
    })
}

fn endpoints() -> impl Strategy<Value = Endpoints> {
    (endpoint(), endpoint()).prop_map(|(local, remote)| Endpoints { local, remote })
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let addr = prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from(bits))),
        any::<u128>().prop_map(|bits| IpAddr::from(Ipv6Addr::from(bits))),
        any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from(bits).to_ipv6_mapped())),
    ];
    (addr, any::<u16>()).prop_map(|(addr, port)| Endpoint::new(addr, port))
}
