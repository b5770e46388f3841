//! Objects nested in others: endpoint, cause, owner.

use std::{borrow::Cow, net::IpAddr, num::NonZeroU16};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use super::value::Decimal;
use crate::{
    model::{Cause, CauseKind, Cgroup, Endpoint, Errno, Known, Owner},
    record::named::ByName,
};

/// An address with a port.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "endpoint", deny_unknown_fields)]
pub struct EndpointObject {
    /// The address as the kernel reports it: a v4-mapped address stays IPv6.
    #[schemars(schema_with = "address")]
    addr: IpAddr,
    /// The port; null if the kernel has not assigned one yet or has cleared it.
    port: Option<NonZeroU16>,
}

fn address(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }] })
}

impl From<Endpoint> for EndpointObject {
    fn from(endpoint: Endpoint) -> Self {
        Self { addr: endpoint.addr, port: endpoint.port }
    }
}

/// What caused a state transition.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "cause", deny_unknown_fields)]
pub struct CauseObject {
    /// `call`: a system call of the owner; `segment`: a segment or ICMP message received; `timer`: a timer of the socket; `kernel`:
    /// the kernel itself, or another process through it.
    kind: ByName<CauseKind>,
    /// The call or event, such as `connect` or `RST received`. For people: the wording may change.
    detail: &'static str,
    /// The socket error that it set, by its name in errno(3); null if it set none.
    errno: Option<String>,
}

impl From<Cause> for CauseObject {
    fn from(cause: Cause) -> Self {
        Self { kind: ByName(cause.kind()), detail: cause.detail(), errno: cause.errno().map(Errno::name) }
    }
}

/// The process that owns a socket. Names are as chosen by processes, converted to UTF-8; they may contain control
/// characters.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "owner", deny_unknown_fields)]
pub struct OwnerObject<'a> {
    /// The process id (thread group id) in the initial pid namespace; null if the owner is unknown.
    pid: Option<u32>,
    /// The process name (the thread's name if the kernel has no BTF); null if the owner is unknown.
    comm: Option<Cow<'a, str>>,
    /// The user id in the initial user namespace; null if the owner is unknown.
    uid: Option<u32>,
    /// The id of the owner's cgroup (v2), which is the inode number of its directory; null if unknown.
    cgroup: Option<Decimal>,
    /// The cgroup's path below the root of the hierarchy; null if it was removed before the lookup.
    cgroup_path: Option<Cow<'a, str>>,
    /// The container id in that path; null if it contains none.
    container: Option<&'a str>,
    /// How the owner was determined. `exact`: by an event in the owner's own system call; `listener`: inherited from the
    /// listener that accepted the connection; `inferred`: the process that held the pre-existing socket, or else the task
    /// on the CPU at its first event; `unknown`: not at all.
    known: ByName<Known>,
}

impl<'a> From<&'a Owner> for OwnerObject<'a> {
    fn from(owner: &'a Owner) -> Self {
        let task = owner.task.as_ref();
        let cgroup = owner.cgroup.as_ref();
        Self {
            pid: task.map(|task| task.pid),
            comm: task.map(|task| task.comm.to_text()),
            uid: task.map(|task| task.uid),
            cgroup: cgroup.map(|cgroup| Decimal(cgroup.id)),
            cgroup_path: cgroup.and_then(|cgroup| Some(cgroup.path.as_ref()?.to_text())),
            container: cgroup.and_then(Cgroup::container),
            known: ByName(owner.known),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Name, Task};

    /// JSON escapes control characters; bytes that are not UTF-8 become U+FFFD.
    #[test]
    fn hostile_names_are_escaped() {
        let name = |bytes: &[u8]| Name::from_bytes(bytes);
        let task = Task { pid: 1, uid: 0, comm: name(b"a\x1b[31m\n\"\xff") };
        let path = [b"/\x1b]0;x\x07/docker/".as_slice(), "0f".repeat(32).as_bytes()].concat();
        let cgroup = Cgroup { id: u64::MAX, path: Some(name(&path)) };
        let owner = Owner { task: Some(task), cgroup: Some(cgroup), known: Known::Exact };
        let text = serde_json::to_string(&OwnerObject::from(&owner)).expect("JSON");
        let container = "0f".repeat(32);
        assert_eq!(
            text,
            [
                r#"{"pid":1,"comm":"a\u001b[31m\n\""#,
                "\u{fffd}",
                r#"","uid":0,"cgroup":"18446744073709551615","cgroup_path":"/\u001b]0;x\u0007/docker/"#,
                &format!(r#"{container}","container":"{container}","known":"exact"}}"#),
            ]
            .concat()
        );
    }

    #[test]
    fn every_field_of_an_unknown_owner_is_null() {
        let text = serde_json::to_string(&OwnerObject::from(&Owner::UNKNOWN)).expect("JSON");
        assert_eq!(
            text,
            r#"{"pid":null,"comm":null,"uid":null,"cgroup":null,"cgroup_path":null,"container":null,"known":"unknown"}"#
        );
    }
}
