//! Outputs that the analysis derives, and that no recording contains.

use proptest::{collection, option, prelude::*};

use super::{duration, identity, kernel::counters, mono, named, owner, socket};
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
    let event = (any::<u64>(), mono(), any::<u16>(), socket(), any::<Option<u64>>(), identity());
    let edge = (named(), named(), option::of(any_cause()), option::of(duration()), any::<Option<u32>>());
    (event, edge, owner())
        .prop_map(|(event, (old, new, cause, state_duration, segs_out), owner)| {
            let (seq, at, cpu, socket, cookie, identity) = event;
            Transition {
                seq,
                at,
                cpu,
                socket,
                cookie,
                identity,
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
    let close = (mono(), option::of(any_cause())).prop_map(|(at, cause)| Close { at, cause });
    let times = (option::of(mono()), option::of(mono()), option::of(close));
    let history = (named(), times, collection::vec(named(), 0..20), option::of(counters()), any::<bool>());
    (socket(), identity(), history, owner())
        .prop_map(|(socket, identity, history, owner)| {
            let (open, (opened, established, close), path, counters, complete) = history;
            Connection {
                socket,
                identity,
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
    let subject = (mono(), option::of(socket()), identity());
    let evidence = collection::vec(any::<u64>(), 0..4);
    (named(), subject, owner(), any::<String>(), any::<Option<String>>(), evidence)
        .prop_map(|(kind, (at, socket, identity), owner, message, remedy, evidence)| Finding {
            kind,
            at,
            socket,
            identity,
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
