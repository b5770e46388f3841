//! A failed bind(2) in a recording.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    diag_entry::{BindOptionsJson, DiagEntryJson},
    owner::{CgroupJson, TaskJson, socket_addr},
};
use crate::{
    model::{BindFailure, Endpoints, Errno, Family, Mono, OpenerFate, Protocol, SocketIdentity},
    record::named::ByName,
};

/// [`BindFailure`], without what is unknown.
#[derive(Debug, Deserialize, Serialize)]
pub struct BindFailureJson {
    at: u64,
    cpu: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    task: Option<TaskJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cgroup: Option<CgroupJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cookie: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    netns: Option<u32>,
    protocol: ByName<Protocol>,
    family: ByName<Family>,
    local: SocketAddr,
    errno: i32,
    #[serde(default, skip_serializing_if = "BindOptionsJson::is_unknown")]
    options: BindOptionsJson,
    /// Missing where sock_diag was not queried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holders: Option<Vec<DiagEntryJson>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    opener_fates: Vec<(u64, ByName<OpenerFate>)>,
}

impl From<&BindFailure> for BindFailureJson {
    fn from(failure: &BindFailure) -> Self {
        Self {
            at: failure.at.0,
            cpu: failure.cpu,
            task: failure.task.as_ref().map(Into::into),
            cgroup: failure.cgroup.as_ref().map(Into::into),
            cookie: failure.cookie,
            netns: failure.identity.netns,
            protocol: ByName(failure.identity.protocol),
            family: ByName(failure.identity.family),
            local: socket_addr(failure.local()),
            errno: failure.errno.0,
            options: failure.options.into(),
            opener_fates: failure
                .opener_fates
                .iter()
                .map(|(cookie, fate)| (*cookie, ByName(*fate)))
                .collect(),
            holders: failure.is_queried.then(|| failure.holders.iter().map(Into::into).collect()),
        }
    }
}

impl From<BindFailureJson> for BindFailure {
    fn from(json: BindFailureJson) -> Self {
        Self {
            at: Mono(json.at),
            cpu: json.cpu,
            task: json.task.map(Into::into),
            cgroup: json.cgroup.map(Into::into),
            cookie: json.cookie,
            identity: SocketIdentity {
                netns: json.netns,
                protocol: json.protocol.0,
                family: json.family.0,
                endpoints: Endpoints::unconnected(json.local.into()),
            },
            errno: Errno(json.errno),
            options: json.options.into(),
            opener_fates: json.opener_fates.into_iter().map(|(cookie, fate)| (cookie, fate.0)).collect(),
            is_queried: json.holders.is_some(),
            holders: json.holders.into_iter().flatten().map(Into::into).collect(),
        }
    }
}
