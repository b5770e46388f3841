//! Arbitrary events that a table shows.

use proptest::{option, prelude::*, sample::select};

use super::*;
use crate::model::{
    Cause, Cgroup, Close, Connection, Counters, Endpoint, Endpoints, Family, FindingKind, Known, LossStage,
    Name, Open, Owner, Protocol, Reset, SocketIdentity, StatePath, Task, Transition, testing::any_cause,
};

pub fn event() -> BoxedStrategy<Output> {
    prop_oneof![
        4 => transition().prop_map(Output::Transition),
        4 => connection().prop_map(Output::Connection),
        2 => finding().prop_map(Output::Finding),
        1 => reset().prop_map(Output::Reset),
        1 => time_wait().prop_map(Output::TimeWaitEntry),
        1 => any::<u64>().prop_map(|count| Output::Lost { count, stage: LossStage::Reader }),
        1 => text().prop_map(Output::Note),
    ]
    .boxed()
}

pub fn view() -> impl Strategy<Value = View> {
    select(vec![View::Transitions, View::Connections, View::Findings])
}

pub fn time() -> impl Strategy<Value = TimeFormat> {
    select(vec![TimeFormat::Elapsed, TimeFormat::Absolute, TimeFormat::Delta])
}

/// Ordinary text, and text meant to break a terminal or the layout.
fn text() -> BoxedStrategy<String> {
    prop_oneof![
        ".*",
        "[a-z]{1,12}( [a-z,.]{1,12}){0,30}",
        "[\\x00-\\x20\u{7f}-\u{a0}\u{200b}-\u{202e}\u{fe0f}\u{301}数据😀🇩🇪👩‍👩‍👧]{0,40}",
        Just("x".repeat(300)),
    ]
    .boxed()
}

fn moment() -> impl Strategy<Value = Mono> {
    prop_oneof![0..10_000_000_000_u64, any::<u64>()].prop_map(Mono)
}

fn endpoints() -> impl Strategy<Value = Endpoints> {
    let endpoint =
        || (any::<std::net::IpAddr>(), any::<u16>()).prop_map(|(addr, port)| Endpoint::new(addr, port));
    [endpoint(), endpoint()].prop_map(|[local, remote]| Endpoints { local, remote })
}

fn socket() -> impl Strategy<Value = SocketId> {
    any::<(u64, u32)>().prop_map(|(number, generation)| SocketId { number, generation })
}

fn owner() -> BoxedStrategy<Owner> {
    let name = || text().prop_map(|text| Name::from_bytes(text.as_bytes()));
    let cgroup = (any::<u64>(), option::of(name())).prop_map(|(id, path)| Cgroup { id, path });
    let known = select(vec![Known::Exact, Known::Listener, Known::Inferred]);
    let with_task = (any::<(u32, u32)>(), name(), option::of(cgroup), known).prop_map(
        |((pid, uid), comm, cgroup, known)| Owner { task: Some(Task { pid, uid, comm }), cgroup, known },
    );
    prop_oneof![1 => Just(Owner::UNKNOWN), 5 => with_task].boxed()
}

fn cause() -> BoxedStrategy<Option<Cause>> {
    option::of(any_cause()).boxed()
}

fn state() -> impl Strategy<Value = State> {
    select(State::ALL.to_vec())
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(vec![Protocol::Tcp, Protocol::Mptcp])
}

fn transition() -> BoxedStrategy<Transition> {
    (
        (moment(), any::<(u16, Option<u32>, Option<u64>)>(), socket(), protocol()),
        (endpoints(), [state(), state()], cause(), owner()),
    )
        .prop_map(
            |((at, (cpu, netns, duration), socket, protocol), (endpoints, [old, new], cause, owner))| {
                Transition {
                    seq: 1,
                    at,
                    cpu,
                    socket,
                    cookie: None,
                    identity: SocketIdentity { netns, protocol, family: Family::Ipv4, endpoints },
                    old,
                    new,
                    cause,
                    owner: owner.into(),
                    state_duration: duration.map(Duration::from_nanos),
                    segs_out: None,
                }
            },
        )
        .boxed()
}

fn connection() -> impl Strategy<Value = Connection> {
    let open =
        select(vec![Open::Active, Open::Passive, Open::Simultaneous, Open::SelfConnect, Open::Preexisting]);
    let counters = any::<(u64, u64, u32, u32, u32, Option<u32>)>().prop_map(
        |(bytes_sent, bytes_received, segs_out, segs_in, retransmits, srtt_us)| Counters {
            bytes_sent,
            bytes_received,
            segs_out,
            synacks: None,
            segs_in,
            retransmits,
            srtt_us,
        },
    );
    let times = (option::of(moment()), option::of(moment()), option::of((moment(), cause())));
    (transition(), open, option::of(counters), times, any::<bool>()).prop_map(
        |(last, open, counters, (opened, established, close), complete)| Connection {
            socket: last.socket,
            identity: last.identity,
            open,
            opened,
            established,
            close: close.map(|(at, cause)| Close { at, cause }),
            path: StatePath::default(),
            counters,
            owner: last.owner,
            complete,
        },
    )
}

fn finding() -> impl Strategy<Value = Finding> {
    (transition(), select(FindingKind::ALL.to_vec()), text(), option::of(text())).prop_map(
        |(last, kind, message, remedy)| Finding {
            kind,
            at: last.at,
            socket: Some(last.socket),
            identity: last.identity,
            owner: last.owner,
            message,
            remedy,
            evidence: Vec::new(),
        },
    )
}

fn reset() -> impl Strategy<Value = Reset> {
    (transition(), option::of(text())).prop_map(|(last, reason)| Reset {
        at: last.at,
        cpu: last.cpu,
        socket: last.socket,
        identity: last.identity,
        state: last.new,
        reason,
        owner: (*last.owner).clone(),
    })
}

fn time_wait() -> impl Strategy<Value = TimeWaitEntry> {
    (transition(), option::of(state()), option::of(moment())).prop_map(|(last, state, until)| TimeWaitEntry {
        at: last.at,
        socket: last.socket,
        identity: last.identity,
        state,
        until,
        owner: (*last.owner).clone(),
    })
}
