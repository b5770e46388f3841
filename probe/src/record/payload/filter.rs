//! The filter of a trace, in a recording.

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{encoding::EscapedName, owner::CgroupJson};
use crate::{
    model::{Family, Filter, PortRange, Protocol},
    record::named::ByName,
};

/// [`Filter`]. A criterion that is missing selects everything.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct FilterJson {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pids: Vec<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    descendants: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    comms: Vec<EscapedName>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<(u16, u16)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    local_ports: Vec<(u16, u16)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remote_ports: Vec<(u16, u16)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    networks: Vec<Network>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    netns: Vec<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cgroups: Vec<CgroupJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    families: Vec<ByName<Family>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    protocols: Vec<ByName<Protocol>>,
}

/// A network in CIDR notation.
#[derive(Debug)]
struct Network(IpNet);

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

impl From<&Filter> for FilterJson {
    fn from(filter: &Filter) -> Self {
        let ranges =
            |ranges: &[PortRange]| ranges.iter().map(|range| (*range.start(), *range.end())).collect();
        Self {
            pids: filter.pids.clone(),
            descendants: filter.descendants,
            comms: filter.comms.iter().cloned().map(EscapedName).collect(),
            ports: ranges(&filter.ports),
            local_ports: ranges(&filter.local_ports),
            remote_ports: ranges(&filter.remote_ports),
            networks: filter.networks.iter().copied().map(Network).collect(),
            netns: filter.netns.clone(),
            cgroups: filter.cgroups.iter().map(Into::into).collect(),
            families: filter.families.iter().copied().map(ByName).collect(),
            protocols: filter.protocols.iter().copied().map(ByName).collect(),
        }
    }
}

impl From<FilterJson> for Filter {
    fn from(json: FilterJson) -> Self {
        let ranges = |ranges: Vec<(u16, u16)>| ranges.into_iter().map(|(first, last)| first..=last).collect();
        Self {
            pids: json.pids,
            descendants: json.descendants,
            comms: json.comms.into_iter().map(|comm| comm.0).collect(),
            ports: ranges(json.ports),
            local_ports: ranges(json.local_ports),
            remote_ports: ranges(json.remote_ports),
            networks: json.networks.into_iter().map(|network| network.0).collect(),
            netns: json.netns,
            cgroups: json.cgroups.into_iter().map(Into::into).collect(),
            families: json.families.into_iter().map(|family| family.0).collect(),
            protocols: json.protocols.into_iter().map(|protocol| protocol.0).collect(),
        }
    }
}
