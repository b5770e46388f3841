//! Inputs that the session and scenarios add.

use proptest::{collection, prelude::*, sample::select};

use super::{endpoints, named, owner, socket};
use crate::{
    model::{Check, Input, LossStage, Phase, SocketRow, Verdict},
    record::named::Named as _,
};

/// Any of them.
pub fn input() -> BoxedStrategy<Input> {
    prop_oneof![
        (any::<u64>(), select(LossStage::ALL)).prop_map(|(count, stage)| Input::Lost { count, stage }),
        (any::<String>(), phase()).prop_map(|(name, phase)| Input::Scenario { name, phase }),
        check().prop_map(Input::Check),
        collection::vec((socket(), any::<String>()), 0..3).prop_map(Input::Labels),
        collection::vec(row(), 0..3).prop_map(Input::Sockets),
        any::<String>().prop_map(Input::Note),
    ]
    .boxed()
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

fn row() -> impl Strategy<Value = SocketRow> {
    (any::<String>(), named(), endpoints(), owner(), any::<u64>()).prop_map(
        |(label, state, endpoints, owner, cookie)| SocketRow { label, state, endpoints, owner, cookie },
    )
}
