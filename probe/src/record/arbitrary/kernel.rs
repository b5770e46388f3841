//! Inputs that come from the kernel.

use std::{net::IpAddr, num::NonZeroU8};

use ipnet::IpNet;
use proptest::{collection, option, prelude::*};

use super::{cgroup, duration, endpoints, identity, mono, named, owner, socket, task};
use crate::model::{
    AcceptQueue, BindFailure, BindOptions, Counters, DiagEntry, Endpoints, Errno, Filter, Input, OpenerFate,
    Reset, SocketIdentity, TimeWaitEntry,
};

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
    let queue = option::of(any::<(u32, u32)>().prop_map(|(waiting, limit)| AcceptQueue { waiting, limit }));
    let details = (any::<Option<u32>>(), bind_options(), queue);
    (any::<u64>(), identity(), named(), owner(), option::of(duration()), details)
        .prop_map(|(cookie, identity, state, owner, expires, (inode, options, queue))| DiagEntry {
            expires,
            inode,
            options,
            queue,
            ..DiagEntry::new(cookie, identity, state, owner.into())
        })
        .boxed()
}

fn bind_options() -> impl Strategy<Value = BindOptions> {
    (any::<[Option<bool>; 3]>(), any::<[Option<u32>; 2]>()).prop_map(
        |([reuse_addr, reuse_port, v6_only], [device, uid])| BindOptions {
            reuse_addr,
            reuse_port,
            v6_only,
            device,
            uid,
        },
    )
}

fn bind_failure() -> BoxedStrategy<BindFailure> {
    let event = (mono(), any::<u16>(), any::<Option<u64>>());
    let caller = (option::of(task()), option::of(cgroup()));
    let errno = (1..200).prop_map(Errno);
    (event, caller, identity(), (errno, bind_options()), collection::vec(diag_entry(), 0..3))
        .prop_map(|((at, cpu, cookie), (task, cgroup), mut identity, (errno, options), holders)| {
            identity.endpoints = Endpoints::unconnected(identity.endpoints.local);
            let is_queried = !holders.is_empty() || cpu % 2 == 0;
            let opener_fates = holders.iter().map(|row| (row.cookie, OpenerFate::Exited)).collect();
            BindFailure {
                at,
                cpu,
                task,
                cgroup,
                cookie,
                identity,
                errno,
                options,
                holders,
                is_queried,
                opener_fates,
            }
        })
        .boxed()
}

fn reset() -> BoxedStrategy<Reset> {
    (mono(), any::<u16>(), socket(), identity(), named(), any::<Option<String>>(), owner())
        .prop_map(|(at, cpu, socket, identity, state, reason, owner)| Reset {
            at,
            cpu,
            socket,
            identity,
            state,
            reason,
            owner,
        })
        .boxed()
}

fn time_wait_entry() -> BoxedStrategy<TimeWaitEntry> {
    let identity = (any::<Option<u32>>(), endpoints())
        .prop_map(|(netns, endpoints)| SocketIdentity::tcp(netns, endpoints));
    (mono(), socket(), identity, option::of(named()), option::of(mono()), owner())
        .prop_map(|(at, socket, identity, state, until, owner)| TimeWaitEntry {
            at,
            socket,
            identity,
            state,
            until,
            owner,
        })
        .boxed()
}
