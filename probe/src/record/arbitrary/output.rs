//! Outputs that the analysis derives, and that no recording contains.

use proptest::{collection, option, prelude::*};

use super::{duration, ends, kernel::counters, mono, named, owner, socket};
use crate::model::{
    BehaviourResult, Close, Connection, Finding, Observation, Output, Transition, testing::any_cause,
};

/// Any of them.
pub fn derived() -> BoxedStrategy<Output> {
    prop_oneof![
        transition().prop_map(Output::Transition),
        connection().prop_map(Output::Connection),
        finding().prop_map(Output::Finding),
        behaviour().prop_map(|result| Output::Behaviour(Box::new(result))),
    ]
    .boxed()
}

fn transition() -> BoxedStrategy<Transition> {
    let place = (any::<u64>(), mono(), any::<u32>(), socket(), any::<Option<u64>>(), any::<Option<u32>>());
    let edge = (named(), named(), option::of(any_cause()), option::of(duration()), any::<Option<u32>>());
    (place, (named(), named()), ends(), edge, owner())
        .prop_map(|(place, (protocol, family), ends, (old, new, cause, state_duration, segs_out), owner)| {
            let (seq, at, cpu, socket, cookie, netns) = place;
            Transition {
                seq,
                at,
                cpu,
                socket,
                cookie,
                netns,
                protocol,
                family,
                ends,
                old,
                new,
                cause,
                owner: owner.into(),
                state_duration,
                segs_out,
            }
        })
        .boxed()
}

fn connection() -> BoxedStrategy<Connection> {
    let place = (socket(), any::<Option<u32>>(), named(), named(), ends());
    let close = (mono(), option::of(any_cause())).prop_map(|(at, cause)| Close { at, cause });
    let times = (option::of(mono()), option::of(mono()), option::of(close));
    let life = (named(), times, collection::vec(named(), 0..20), option::of(counters()), any::<bool>());
    (place, life, owner())
        .prop_map(|(place, (open, (opened, established, close), path, counters, complete), owner)| {
            let (socket, netns, protocol, family, ends) = place;
            Connection {
                socket,
                netns,
                protocol,
                family,
                ends,
                open,
                opened,
                established,
                close,
                path: path.into_iter().collect(),
                counters,
                owner: owner.into(),
                complete,
            }
        })
        .boxed()
}

fn finding() -> BoxedStrategy<Finding> {
    let place = (mono(), option::of(socket()), any::<Option<u32>>(), ends());
    let evidence = collection::vec(any::<u64>(), 0..4);
    (named(), place, owner(), any::<String>(), any::<Option<String>>(), evidence)
        .prop_map(|(kind, (at, socket, netns, ends), owner, message, remedy, evidence)| Finding {
            kind,
            at,
            socket,
            netns,
            ends,
            owner: owner.into(),
            message,
            remedy,
            evidence,
        })
        .boxed()
}

fn behaviour() -> BoxedStrategy<BehaviourResult> {
    let names = any::<[String; 3]>();
    let why = any::<[Option<String>; 2]>();
    (names, any::<Vec<String>>(), (named(), named()), observation(), observation(), why)
        .prop_map(|(names, needs, (group, status), expected, observed, why)| {
            let ([id, says, reference], [variant, reason]) = (names, why);
            BehaviourResult {
                id,
                description: says,
                group,
                needs,
                status,
                expected,
                observed,
                variant,
                reason,
                reference,
                transitions: Vec::new(),
                packets: Vec::new(),
                labels: Vec::new(),
            }
        })
        .boxed()
}

pub fn observation() -> impl Strategy<Value = Observation> {
    let paths = collection::vec((any::<String>(), collection::vec(named(), 0..5)), 0..3);
    let facts = collection::vec(any::<(String, String)>(), 0..3);
    (paths, facts).prop_map(|(paths, facts)| Observation { paths, facts })
}
