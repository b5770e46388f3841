//! The objects about the host: what it gives, and what on it is likely to go wrong.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    parts::{EndpointObject, OwnerObject},
    value::Version,
};
use crate::{
    model::{Facility, FacilityGroup, FacilityStatus, Hazard, HazardKind},
    record::named::ByName,
};

/// Something that the tool builds on, and whether this host gives it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct FacilityObject<'a> {
    v: Version,
    /// Where it belongs: the machine and this process's privilege, what the programs in the kernel need, what
    /// the tool asks of the kernel besides, settings.
    group: ByName<FacilityGroup>,
    /// Its name.
    name: &'a str,
    /// Whether it is there; `unknown` where it could not be tried.
    status: ByName<FacilityStatus>,
    /// What was seen of it; the value of a sysctl. Made for people, but for sysctls: its wording may change.
    observed: &'a str,
    /// What depends on it; of a sysctl, what its value decides.
    costs: &'a str,
    /// What would put it in place; null where it is there, or where `observed` says it all.
    remedy: Option<&'a str>,
}

impl<'a> From<&'a Facility> for FacilityObject<'a> {
    fn from(facility: &'a Facility) -> Self {
        Self {
            v: Version,
            group: ByName(facility.group),
            name: &facility.name,
            status: ByName(facility.status),
            observed: &facility.observed,
            costs: &facility.costs,
            remedy: facility.remedy.as_deref(),
        }
    }
}

/// Something that is likely to go wrong on this host.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct HazardObject<'a> {
    v: Version,
    /// What kind of thing it is.
    kind: ByName<HazardKind>,
    /// The network namespace's inode number.
    netns: u32,
    /// Where; the port is null where all ports of the address are meant.
    local: EndpointObject,
    /// Whose socket it is.
    owner: OwnerObject<'a>,
    /// What can happen, in one sentence. Made for people: its wording may change.
    message: String,
    /// The command that remedies it, or a sentence; null where nothing does. What one command remedies has the same.
    remedy: Option<&'a str>,
}

impl<'a> From<&'a Hazard> for HazardObject<'a> {
    fn from(hazard: &'a Hazard) -> Self {
        Self {
            v: Version,
            kind: ByName(hazard.kind()),
            netns: hazard.netns,
            local: hazard.local.into(),
            owner: (&hazard.owner).into(),
            message: hazard.message(),
            remedy: hazard.remedy.as_deref(),
        }
    }
}
