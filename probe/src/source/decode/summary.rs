//! Whole connections.

use std::num::NonZeroU16;

use probe_ebpf::{PATH_STATES, SummaryRecord};

use super::{
    error::DecodeError,
    transition::{CheckedFields, closing, opened},
};
use crate::model::{Backend, Mono, StatePath, Summary};

/// Decodes the record of a connection.
pub(super) fn decode(record: &SummaryRecord, backend: Backend) -> Result<Summary, DecodeError> {
    let opened = opened(record.generation, record.known, &record.owner, record.owner_cgroup);
    let fields = CheckedFields::of(&record.closed.transition)?;
    let end = closing(&record.closed, fields, Some(opened), backend);
    let mut path = StatePath::unpack(record.path, record.path_length)
        .map_err(|number| DecodeError::Value { field: "a state of the path", value: number.into() })?;
    if path.is_empty() {
        path.push(end.old);
    }
    path.push(end.new);
    let time = |at: u64| (at != 0).then_some(Mono(at));
    Ok(Summary {
        end,
        opened: time(record.opened_ns),
        established: time(record.established_ns),
        first_port: NonZeroU16::new(record.first_port),
        path,
        path_is_complete: record.path_length <= PATH_STATES.into() && record.has_gap == 0,
    })
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;

    use super::*;
    use crate::model::State;

    fn record() -> SummaryRecord {
        let mut record = SummaryRecord::new_zeroed();
        let transition = &mut record.closed.transition;
        (transition.protocol, transition.family) = (6, 2);
        (transition.old, transition.new) = (State::SynSent as u8, State::Close as u8);
        record
    }

    #[test]
    fn a_summary_has_its_path() {
        let mut record = record();
        record.path = u64::from(State::Close as u8) | u64::from(State::SynSent as u8) << 4;
        record.path_length = 2;
        record.opened_ns = 9;
        let summary = decode(&record, Backend::TpBtf).expect("a summary");
        assert_eq!(summary.path, [State::Close, State::SynSent, State::Close].into());
        assert_eq!(
            (summary.opened, summary.established, summary.path_is_complete),
            (Some(Mono(9)), None, true)
        );

        record.path_length = 17;
        let refused = decode(&record, Backend::TpBtf);
        assert_eq!(refused, Err(DecodeError::Value { field: "a state of the path", value: 0 }));
    }

    #[test]
    fn the_path_of_a_preexisting_socket_is_its_close() {
        let summary = decode(&record(), Backend::TpBtf).expect("a summary");
        assert_eq!(summary.path, [State::SynSent, State::Close].into());
        assert_eq!(summary.opened, None);
    }
}
