//! Any event that a recording keeps, for property tests.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use proptest::{array, collection, option, prelude::*, sample::select};

use crate::model::{
    Backend, Cgroup, Check, Clock, Counters, End, Endpoint, Endpoints, Errno, Event, Family, Host, Known,
    Mono, Name, Opened, Owner, Phase, Protocol, Report, SocketId, SocketRow, State, Task, Verdict,
};

/// Any of them but the end.
pub fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => (host(), select(vec![Backend::TpBtf, Backend::Tracepoint]), collection::vec(any::<String>(), 0..3), any::<Option<u64>>())
            .prop_map(|(host, backend, off, existing)| Event::Ready { host, backend, off, existing }),
        5 => report().prop_map(Event::Report),
        1 => (any::<u64>(), any::<String>()).prop_map(|(count, place)| Event::Lost { count, place }),
        1 => (any::<String>(), phase()).prop_map(|(name, phase)| Event::Scenario { name, phase }),
        1 => check().prop_map(Event::Check),
        1 => collection::vec((socket(), any::<String>()), 0..3).prop_map(Event::Labels),
        1 => collection::vec(row(), 0..3).prop_map(Event::Sockets),
        1 => any::<String>().prop_map(Event::Note),
    ]
}

/// Any end, as a recording keeps it.
pub fn end() -> impl Strategy<Value = Event> {
    let duration = || any::<u64>().prop_map(Duration::from_nanos);
    (duration(), option::of(duration()))
        .prop_map(|(duration, attach)| Event::End(End { duration, attach, ..End::default() }))
}

fn host() -> impl Strategy<Value = Host> {
    (any::<[String; 3]>(), any::<i128>(), option::of(any::<(u16, u16)>())).prop_map(
        |(names, offset, range)| {
            let [kernel, arch, hostname] = names;
            Host {
                kernel,
                arch,
                hostname,
                clock: Clock { realtime_offset_ns: offset },
                ephemeral: range.map(|(first, last)| first..=last),
            }
        },
    )
}

fn report() -> impl Strategy<Value = Report> {
    let place = (any::<u64>(), any::<u32>(), any::<u64>(), any::<Option<u64>>(), any::<Option<u32>>());
    let kind = (select(vec![Protocol::Tcp, Protocol::Mptcp]), select(vec![Family::Ipv4, Family::Ipv6]));
    let error = option::of(option::of((1..200).prop_map(Errno)));
    let flags = (any::<Option<u8>>(), any::<[Option<bool>; 4]>());
    let call = (error, flags, any::<Option<u32>>(), option::of(task()));
    let extra = (option::of(opened()), option::of(counters()));
    (place, kind, ends(), [state(), state()], call, extra).prop_map(
        |(place, kind, ends, edge, call, extra)| {
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
        },
    )
}

fn opened() -> impl Strategy<Value = Opened> {
    (any::<u32>(), option::of(task()), known(), any::<Option<u64>>())
        .prop_map(|(generation, owner, known, cgroup)| Opened { generation, owner, known, cgroup })
}

fn counters() -> impl Strategy<Value = Counters> {
    (any::<[u64; 2]>(), any::<[u32; 3]>(), any::<Option<u32>>()).prop_map(|(bytes, segs, srtt_us)| Counters {
        bytes_sent: bytes[0],
        bytes_received: bytes[1],
        segs_out: segs[0],
        segs_in: segs[1],
        retransmits: segs[2],
        srtt_us,
    })
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![
        any::<String>().prop_map(|summary| Phase::Start { summary }),
        Just(Phase::End { verdict: Verdict::Passed }),
        Just(Phase::End { verdict: Verdict::Failed }),
        Just(Phase::End { verdict: Verdict::Interrupted }),
        any::<String>().prop_map(|why| Phase::End { verdict: Verdict::Unsupported(why) }),
    ]
}

fn check() -> impl Strategy<Value = Check> {
    (any::<[String; 4]>(), any::<bool>()).prop_map(|(texts, pass)| {
        let [scenario, name, expected, observed] = texts;
        Check { scenario, name, expected, observed, pass }
    })
}

fn socket() -> impl Strategy<Value = SocketId> {
    (any::<u64>(), any::<u32>()).prop_map(|(number, generation)| SocketId { number, generation })
}

fn row() -> impl Strategy<Value = SocketRow> {
    (any::<String>(), state(), ends(), owner(), any::<u64>())
        .prop_map(|(label, state, ends, owner, cookie)| SocketRow { label, state, ends, owner, cookie })
}

fn owner() -> impl Strategy<Value = Owner> {
    (option::of(task()), any::<Option<u64>>(), known()).prop_map(|(task, cgroup, known)| Owner {
        task,
        cgroup: cgroup.map(|id| Cgroup { id, path: None }),
        known,
    })
}

/// Any bytes make a name.
fn task() -> impl Strategy<Value = Task> {
    (any::<u32>(), any::<u32>(), array::uniform15(any::<u8>())).prop_map(|(pid, uid, comm)| Task {
        pid,
        uid,
        comm: Name::from_bytes(&comm),
    })
}

fn ends() -> impl Strategy<Value = Endpoints> {
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

fn state() -> impl Strategy<Value = State> {
    select(State::ALL.to_vec())
}

fn known() -> impl Strategy<Value = Known> {
    select(vec![Known::Exact, Known::Listener, Known::Seen, Known::Unknown])
}
