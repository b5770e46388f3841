//! What several objects have in them: ends, causes, owners.

use std::{borrow::Cow, net::IpAddr, num::NonZeroU16};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use super::value::Decimal;
use crate::{
    model::{Cause, CauseKind, Cgroup, Endpoint, Errno, Known, Owner},
    record::named::ByName,
};

/// One end of a connection.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "endpoint", deny_unknown_fields)]
pub struct EndpointObject {
    /// The address as the kernel has it; v4-mapped ones stay IPv6.
    #[schemars(schema_with = "address")]
    addr: IpAddr,
    /// The port; null where the socket has none yet, or the kernel has cleared it already.
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

/// Why a socket changed its state.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "cause", deny_unknown_fields)]
pub struct CauseObject {
    /// What kind of thing it was: a call of the owner's, a segment or an ICMP message, a timer, the kernel.
    kind: ByName<CauseKind>,
    /// In plain words, such as `connect` or `RST received`. Made for people: its wording may change.
    detail: &'static str,
    /// The error that the socket reports for it, by its name in errno(3); null where it reports none.
    errno: Option<String>,
}

impl From<Cause> for CauseObject {
    fn from(cause: Cause) -> Self {
        Self { kind: ByName(cause.kind()), detail: cause.detail(), errno: cause.errno().map(Errno::name) }
    }
}

/// Whose socket it is. Names are as their processes chose them, made UTF-8: control characters are in them.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "owner", deny_unknown_fields)]
pub struct OwnerObject<'a> {
    /// The process (thread group) id in the initial pid namespace; null where nobody is known.
    pid: Option<u32>,
    /// Its name (that of the thread where the kernel has no type information); null where nobody is known.
    comm: Option<Cow<'a, str>>,
    /// The user id in the initial user namespace; null where nobody is known.
    uid: Option<u32>,
    /// The id of its cgroup (v2), the inode number of the group's directory; null where it is not known.
    cgroup: Option<Decimal>,
    /// The cgroup's path below the root of the hierarchy; null where it was gone before it could be looked
    /// up.
    cgroup_path: Option<Cow<'a, str>>,
    /// The container that the path names; null where it names none.
    container: Option<&'a str>,
    /// How the owner is known: by an event in its own call (`exact`), as the listener's owner (`listener`),
    /// as the holder of a socket older than the tracer (`seen`), or not at all.
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

    /// What a process chose reaches no terminal as it is: JSON escapes it, and what is no text is replaced.
    #[test]
    fn hostile_names_are_escaped() {
        let name = |bytes: &[u8]| Name::from_bytes(bytes);
        let task = Task { pid: 1, uid: 0, comm: name(b"a\x1b[31m\n\"\xff") };
        let path = [b"/\x1b]0;x\x07/docker/".as_slice(), "0f".repeat(32).as_bytes()].concat();
        let cgroup = Cgroup { id: u64::MAX, path: Some(name(&path)) };
        let owner = Owner { task: Some(task), cgroup: Some(cgroup), known: Known::Exact };
        let text = serde_json::to_string(&OwnerObject::from(&owner)).expect("memory takes everything");
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
    fn nobody_known_is_null_in_every_field() {
        let text =
            serde_json::to_string(&OwnerObject::from(&Owner::UNKNOWN)).expect("memory takes everything");
        assert_eq!(
            text,
            r#"{"pid":null,"comm":null,"uid":null,"cgroup":null,"cgroup_path":null,"container":null,"known":"unknown"}"#
        );
    }
}
