//! Profiles, and differences between two.

use proptest::{collection, option, prelude::*, sample::select};

use super::{named, output::observation};
use crate::model::{Difference, FactKind, KernelFacts, Profile, ProfileEntry};

/// Any of them.
pub fn difference() -> BoxedStrategy<Difference> {
    use FactKind::{Arch, Backend, Config, Kernel, Sysctl};
    let kind = select(vec![Kernel, Arch, Backend, Config, Sysctl]);
    let fact = (kind, any::<String>(), any::<[Option<String>; 2]>())
        .prop_map(|(kind, name, [a, b])| Difference::Fact { kind, name, a, b });
    let sides = (option::of(entry().prop_map(Box::new)), option::of(entry().prop_map(Box::new)));
    let behaviour = (any::<String>(), sides, collection::vec(any::<String>(), 0..3))
        .prop_map(|(id, (a, b), why)| Difference::Behaviour { id, a, b, why });
    prop_oneof![fact, behaviour].boxed()
}

/// Any profile. Names are unique in it.
pub fn profile() -> BoxedStrategy<Profile> {
    let settings = || {
        let named = collection::btree_map(any::<String>(), any::<Option<String>>(), 0..4);
        named.prop_map(|settings| settings.into_iter().collect::<Vec<_>>())
    };
    let facts = (any::<[String; 2]>(), named(), option::of(settings()), settings()).prop_map(
        |([kernel, arch], backend, config, sysctls)| KernelFacts { kernel, arch, backend, config, sysctls },
    );
    let behaviours = collection::btree_map(any::<String>(), entry(), 0..4)
        .prop_map(|all| all.into_iter().map(|(id, entry)| ProfileEntry { id, ..entry }).collect());
    (facts, behaviours).prop_map(|(facts, behaviours)| Profile { facts, behaviours }).boxed()
}

fn entry() -> BoxedStrategy<ProfileEntry> {
    (any::<[String; 3]>(), named(), observation(), any::<[Option<String>; 2]>())
        .prop_map(|(names, status, observed, why)| {
            let ([id, says, reference], [variant, reason]) = (names, why);
            ProfileEntry { id, description: says, status, variant, reason, reference, observed }
        })
        .boxed()
}
