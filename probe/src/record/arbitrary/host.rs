//! What `probe doctor` finds about a host.

use proptest::{prelude::*, sample::select};

use super::{endpoint, named, owner};
use crate::model::{Facility, Hazard, HazardFacts, PortReach};

/// Any facility.
pub fn facility() -> BoxedStrategy<Facility> {
    (named(), named(), any::<[String; 3]>(), any::<Option<String>>())
        .prop_map(|(group, status, [name, observed, costs], remedy)| Facility {
            group,
            name,
            status,
            observed,
            costs,
            remedy,
        })
        .boxed()
}

/// Any hazard.
pub fn hazard() -> BoxedStrategy<Hazard> {
    let facts = prop_oneof![
        (any::<(u16, u16)>(), select(vec![PortReach::Connect, PortReach::Bind]))
            .prop_map(|((first, last), reach)| HazardFacts::EphemeralListener { range: first..=last, reach }),
        any::<bool>().prop_map(|time_wait| HazardFacts::SelfConnected { time_wait }),
        (endpoint(), any::<[u16; 3]>()).prop_map(|(remote, [used, time_wait, available])| {
            let [used, time_wait, available] = [used, time_wait, available].map(usize::from);
            HazardFacts::EphemeralExhaustion { remote, used, time_wait, available }
        }),
    ];
    (facts, any::<u32>(), endpoint(), owner(), any::<Option<String>>())
        .prop_map(|(facts, netns, local, owner, remedy)| Hazard { facts, netns, local, owner, remedy })
        .boxed()
}
