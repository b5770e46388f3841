//! Any event that comes from the kernel.

use std::{net::IpAddr, num::NonZeroU16};

use ipnet::IpNet;
use proptest::{collection, option, prelude::*};

use super::{cgroup, duration, endpoint, ends, mono, owner, socket, task, word};
use crate::model::{
    BindFailure, Counters, DiagEntry, Errno, Filter, Input, Mono, Opened, Report, Reset, Summary,
    TimeWaitEntry,
};

/// Any of them.
pub fn event() -> BoxedStrategy<Input> {
    prop_oneof![
        1 => (mono(), collection::vec(listed(), 0..3))
            .prop_map(|(at, sockets)| Input::Existing { at, sockets }),
        1 => filter().prop_map(|filter| Input::Filter(Box::new(filter))),
        1 => cgroup().prop_map(Input::Cgroup),
        5 => report().prop_map(Input::Report),
        1 => summary().prop_map(Input::Summary),
        1 => bind_failure().prop_map(|failure| Input::BindFailed(Box::new(failure))),
        1 => reset().prop_map(Input::Reset),
        1 => remains().prop_map(Input::TimeWaitEntry),
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
    let network = (any::<IpAddr>(), 0..=32_u8)
        .prop_map(|(addr, length)| IpNet::new(addr, length).expect("no address is shorter").trunc());
    let places = (collection::vec(network, few.clone()), collection::vec(any::<u32>(), few.clone()));
    let words = (collection::vec(word(), few.clone()), collection::vec(word(), few));
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

fn report() -> BoxedStrategy<Report> {
    let place = (any::<u64>(), any::<u32>(), any::<u64>(), any::<Option<u64>>(), any::<Option<u32>>());
    let kind = (word(), word());
    let error = option::of(option::of((1..200).prop_map(Errno)));
    let flags = (any::<Option<u8>>(), any::<[Option<bool>; 4]>());
    let call = (error, flags, any::<Option<u32>>(), option::of(task()));
    let extra = (option::of(opened()), option::of(counters()));
    (place, kind, ends(), [word(), word()], call, extra)
        .prop_map(|(place, kind, ends, edge, call, extra)| {
            let (at, cpu, socket, cookie, netns) = place;
            let (error, (shutdown, [orphaned, fin_received, rst_received, owner_matches]), syscall, task) =
                call;
            Report {
                at: Mono(at),
                cpu,
                socket,
                cookie,
                netns,
                protocol: kind.0,
                family: kind.1,
                ends,
                old: edge[0],
                new: edge[1],
                error,
                shutdown,
                orphaned,
                fin_received,
                rst_received,
                owner_matches,
                syscall,
                task,
                opened: extra.0,
                counters: extra.1,
            }
        })
        .boxed()
}

fn opened() -> impl Strategy<Value = Opened> {
    (any::<u32>(), option::of(task()), word(), any::<Option<u64>>())
        .prop_map(|(generation, owner, known, cgroup)| Opened { generation, owner, known, cgroup })
}

pub fn counters() -> impl Strategy<Value = Counters> {
    (any::<[u64; 2]>(), any::<[u32; 3]>(), any::<Option<u32>>()).prop_map(|(bytes, segs, srtt_us)| Counters {
        bytes_sent: bytes[0],
        bytes_received: bytes[1],
        segs_out: segs[0],
        segs_in: segs[1],
        retransmits: segs[2],
        srtt_us,
    })
}

fn summary() -> BoxedStrategy<Summary> {
    let times = (option::of(mono()), option::of(mono()));
    (report(), times, any::<Option<NonZeroU16>>(), collection::vec(word(), 0..20), any::<bool>())
        .prop_map(|(end, (opened, established), first_port, path, path_is_complete)| Summary {
            end,
            opened,
            established,
            first_port,
            path: path.into_iter().collect(),
            path_is_complete,
        })
        .boxed()
}

fn listed() -> BoxedStrategy<DiagEntry> {
    let place = (any::<u64>(), any::<u32>(), word(), word());
    (place, ends(), word(), owner(), option::of(duration()))
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
    (place, caller, (word(), word()), endpoint(), errno, collection::vec(listed(), 0..3))
        .prop_map(|(place, (task, cgroup), (protocol, family), local, errno, holders)| {
            let (at, cpu, cookie, netns) = place;
            BindFailure { at, cpu, task, cgroup, cookie, netns, protocol, family, local, errno, holders }
        })
        .boxed()
}

fn reset() -> BoxedStrategy<Reset> {
    let place = (mono(), any::<u32>(), socket(), any::<Option<u32>>());
    (place, word(), ends(), word(), any::<Option<String>>(), owner())
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

fn remains() -> BoxedStrategy<TimeWaitEntry> {
    let place = (mono(), socket(), any::<Option<u32>>());
    (place, ends(), option::of(word()), option::of(mono()), owner())
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
