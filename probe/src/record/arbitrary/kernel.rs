//! Inputs that come from the kernel.

use std::{net::IpAddr, num::NonZeroU8};

use ipnet::IpNet;
use proptest::{collection, option, prelude::*};

use super::{cgroup, duration, endpoint, ends, mono, named, owner, socket, task};
use crate::model::{BindFailure, Counters, DiagEntry, Errno, Filter, Input, Reset, TimeWaitEntry};

/// Any of them but reports and summaries, which are records of the ring buffer.
pub fn input() -> BoxedStrategy<Input> {
    prop_oneof![
        1 => (mono(), collection::vec(diag_entry(), 0..3))
            .prop_map(|(at, sockets)| Input::Existing { at, sockets }),
        1 => filter().prop_map(|filter| Input::Filter(Box::new(filter))),
        1 => cgroup().prop_map(Input::Cgroup),
        1 => bind_failure().prop_map(|failure| Input::BindFailed(Box::new(failure))),
        1 => reset().prop_map(Input::Reset),
        1 => time_wait_entry().prop_map(Input::TimeWaitEntry),
    ]
    .boxed()
}

fn filter() -> impl Strategy<Value = Filter> {
    let few = 0..3_usize;
    let owners = (
        collection::vec(any::<u32>(), few.clone()),
        any::<bool>(),
        collection::vec(task().prop_map(|task| task.comm), few.clone()),
        collection::vec(cgroup(), few.clone()),
    );
    let ports =
        || collection::vec((any::<u16>(), any::<u16>()).prop_map(|(a, b)| a.min(b)..=a.max(b)), 0..3_usize);
    let network = (any::<IpAddr>(), 0..=32_u8).prop_map(|(addr, length)| {
        IpNet::new(addr, length).expect("every address has 32 bits or more").trunc()
    });
    let places = (collection::vec(network, few.clone()), collection::vec(any::<u32>(), few.clone()));
    let words = (collection::vec(named(), few.clone()), collection::vec(named(), few));
    (owners, [ports(), ports(), ports()], places, words).prop_map(
        |(
            (pids, descendants, comms, cgroups),
            [ports, local_ports, remote_ports],
            (networks, netns),
            words,
        )| Filter {
            pids,
            descendants,
            comms,
            ports,
            local_ports,
            remote_ports,
            networks,
            netns,
            cgroups,
            families: words.0,
            protocols: words.1,
        },
    )
}

pub fn counters() -> impl Strategy<Value = Counters> {
    let optional = (any::<Option<NonZeroU8>>(), any::<Option<u32>>());
    (any::<[u64; 2]>(), any::<[u32; 3]>(), optional).prop_map(|(bytes, segs, (synacks, srtt_us))| Counters {
        bytes_sent: bytes[0],
        bytes_received: bytes[1],
        segs_out: segs[0],
        synacks,
        segs_in: segs[1],
        retransmits: segs[2],
        srtt_us,
    })
}

fn diag_entry() -> BoxedStrategy<DiagEntry> {
    let place = (any::<u64>(), any::<u32>(), named(), named());
    (place, ends(), named(), owner(), option::of(duration()))
        .prop_map(|((cookie, netns, protocol, family), ends, state, owner, expires)| DiagEntry {
            cookie,
            netns,
            protocol,
            family,
            ends,
            state,
            owner: owner.into(),
            expires,
        })
        .boxed()
}

fn bind_failure() -> BoxedStrategy<BindFailure> {
    let place = (mono(), any::<u32>(), any::<Option<u64>>(), any::<Option<u32>>());
    let caller = (option::of(task()), option::of(cgroup()));
    let errno = (1..200).prop_map(Errno);
    (place, caller, (named(), named()), endpoint(), errno, collection::vec(diag_entry(), 0..3))
        .prop_map(|(place, (task, cgroup), (protocol, family), local, errno, holders)| {
            let (at, cpu, cookie, netns) = place;
            BindFailure { at, cpu, task, cgroup, cookie, netns, protocol, family, local, errno, holders }
        })
        .boxed()
}

fn reset() -> BoxedStrategy<Reset> {
    let place = (mono(), any::<u32>(), socket(), any::<Option<u32>>());
    (place, named(), ends(), named(), any::<Option<String>>(), owner())
        .prop_map(|((at, cpu, socket, netns), family, ends, state, reason, owner)| Reset {
            at,
            cpu,
            socket,
            netns,
            family,
            ends,
            state,
            reason,
            owner,
        })
        .boxed()
}

fn time_wait_entry() -> BoxedStrategy<TimeWaitEntry> {
    let place = (mono(), socket(), any::<Option<u32>>());
    (place, ends(), option::of(named()), option::of(mono()), owner())
        .prop_map(|((at, socket, netns), ends, state, until, owner)| TimeWaitEntry {
            at,
            socket,
            netns,
            ends,
            state,
            until,
            owner,
        })
        .boxed()
}
