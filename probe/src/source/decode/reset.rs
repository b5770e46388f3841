//! RSTs that this host sent.

use std::collections::BTreeMap;

use probe_ebpf::ResetRecord;

use super::{
    error::DecodeError,
    values::{endpoint, family, netns, protocol, state},
};
use crate::model::{Endpoints, Mono, Owner, Reset, SocketId, SocketIdentity};

/// The names of reset reasons, by the running kernel's numbers.
#[derive(Debug, Default)]
pub struct ResetReasons(BTreeMap<u32, String>);

impl From<BTreeMap<u32, String>> for ResetReasons {
    fn from(names: BTreeMap<u32, String>) -> Self {
        Self(names)
    }
}

impl ResetReasons {
    /// The names of the enumerators of `enum sk_rst_reason`, without their prefix.
    pub fn of(values: impl Iterator<Item = (u32, String)>) -> Self {
        Self(
            values
                .map(|(value, name)| match name.strip_prefix("SK_RST_REASON_") {
                    Some(short) => (value, short.to_owned()),
                    None => (value, name),
                })
                .collect(),
        )
    }

    /// The names by number, as a recording stores them.
    pub fn names(&self) -> &BTreeMap<u32, String> {
        &self.0
    }

    fn name(&self, reason: u32) -> Option<String> {
        self.0.get(&reason).cloned()
    }
}

pub(super) fn decode(record: &ResetRecord, reasons: &ResetReasons) -> Result<Reset, DecodeError> {
    let family = family(record.family)?;
    let number =
        u8::try_from(record.state).map_err(|_| DecodeError::Value { field: "state", value: record.state })?;
    Ok(Reset {
        at: Mono(record.header.mono_ns),
        cpu: record.header.cpu,
        socket: SocketId { number: record.cookie, generation: 0 },
        identity: SocketIdentity {
            netns: netns(record.netns),
            protocol: protocol(record.protocol)?,
            family,
            endpoints: Endpoints {
                local: endpoint(family, record.local_addr, record.local_port),
                remote: endpoint(family, record.remote_addr, record.remote_port),
            },
        },
        state: state("state", number)?,
        reason: reasons.name(record.reason),
        owner: Owner::UNKNOWN,
    })
}

#[cfg(test)]
mod tests {
    use probe_ebpf::{KIND_RESET, RecordHeader, UNKNOWN_U32};
    use zerocopy::{FromZeros, IntoBytes};

    use super::*;
    use crate::{
        model::{Backend, Input, State},
        source::decode::decode as decode_record,
    };

    fn record() -> ResetRecord {
        let mut record = ResetRecord::new_zeroed();
        record.header = RecordHeader { kind: KIND_RESET, cpu: 1, lost: 0, mono_ns: 5 };
        record.cookie = 77;
        record.reason = 11;
        record.protocol = 6;
        record.family = 10;
        record.local_port = 1314;
        record.remote_port = 2718;
        record.state = State::Close as u32;
        record.local_addr[15] = 1;
        record.remote_addr[15] = 1;
        record
    }

    fn reasons() -> ResetReasons {
        let values = [(0, "SK_RST_REASON_NOT_SPECIFIED"), (11, "SK_RST_REASON_TCP_ABORT_ON_CLOSE")];
        ResetReasons::of(values.into_iter().map(|(value, name)| (value, name.to_owned())))
    }

    #[test]
    fn a_record_becomes_a_reset() {
        let Ok(Input::Reset(reset)) =
            decode_record(&record().header, record().as_bytes(), Backend::TpBtf, &reasons())
        else {
            panic!("not a reset")
        };
        assert_eq!(reset.socket, SocketId { number: 77, generation: 0 });
        assert_eq!(reset.identity.endpoints.local.to_string(), "[::1]:1314");
        assert_eq!(reset.identity.endpoints.remote.to_string(), "[::1]:2718");
        assert_eq!((reset.state, reset.identity.netns), (State::Close, None));
        assert_eq!(reset.reason.as_deref(), Some("TCP_ABORT_ON_CLOSE"));
    }

    #[test]
    fn a_reason_without_a_name_is_unknown() {
        for reason in [UNKNOWN_U32, 1000] {
            let record = ResetRecord { reason, ..record() };
            assert_eq!(decode(&record, &reasons()).expect("well-formed").reason, None);
        }
    }

    #[test]
    fn a_malformed_record_is_rejected() {
        for state in [0, 13, 256 + 7] {
            let record = ResetRecord { state, ..record() };
            assert_eq!(decode(&record, &reasons()), Err(DecodeError::Value { field: "state", value: state }));
        }
    }
}
