//! The objects of a diagnosis: facilities of the host, and hazards on it.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    nested::{EndpointObject, OwnerObject},
    time::Time,
    value::Version,
};
use crate::{
    model::{Facility, FacilityGroup, FacilityStatus, Hazard, HazardKind},
    record::named::ByName,
};

/// A facility that the tool relies on, and whether this host provides it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct FacilityObject<'a> {
    v: Version,
    /// When the host was examined: RFC 3339, UTC, nanoseconds.
    time: Option<Time>,
    /// `host`: the machine and the privileges of this process; `kernel`: what the BPF programs need; `user`: other kernel
    /// interfaces that the tool uses; `sysctl`: a setting.
    group: ByName<FacilityGroup>,
    /// The name of the facility or sysctl.
    name: &'a str,
    /// Whether the facility is available; `unknown` if it could not be tested.
    status: ByName<FacilityStatus>,
    /// The result of the test, or the value of the sysctl. For people, except for sysctls: the wording may change.
    observed: &'a str,
    /// What depends on the facility, or what the value of the sysctl controls.
    affects: &'a str,
    /// How to provide the facility; null if it is available or there is nothing to do.
    remedy: Option<&'a str>,
}

impl<'a> FacilityObject<'a> {
    pub fn of(facility: &'a Facility, time: Option<Time>) -> Self {
        Self {
            v: Version,
            time,
            group: ByName(facility.group),
            name: &facility.name,
            status: ByName(facility.status),
            observed: &facility.observed,
            affects: &facility.costs,
            remedy: facility.remedy.as_deref(),
        }
    }
}

/// A failure that is likely to occur on this host.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(deny_unknown_fields)]
pub struct HazardObject<'a> {
    v: Version,
    /// When the host was examined: RFC 3339, UTC, nanoseconds.
    time: Option<Time>,
    /// The kind of hazard.
    kind: ByName<HazardKind>,
    /// The inode number of the network namespace.
    netns: u32,
    /// The local endpoint concerned; the port is null if all ports of the address are.
    local: EndpointObject,
    /// The process that owns the socket.
    owner: OwnerObject<'a>,
    /// What can happen, in one sentence. For people: the wording may change.
    message: String,
    /// A command, or a sentence that says what to do; null if there is no remedy. Hazards that one command removes have the
    /// same remedy.
    remedy: Option<&'a str>,
}

impl<'a> HazardObject<'a> {
    pub fn of(hazard: &'a Hazard, time: Option<Time>) -> Self {
        Self {
            v: Version,
            time,
            kind: ByName(hazard.kind()),
            netns: hazard.netns,
            local: hazard.local.into(),
            owner: (&hazard.owner).into(),
            message: hazard.message(),
            remedy: hazard.remedy.as_deref(),
        }
    }
}
