//! Causes for tests.

use crate::model::{Cause, Errno};

/// The cause with this text.
///
/// # Panics
/// No cause has it.
pub fn cause(detail: &str) -> Cause {
    let all = Cause::ALL.iter().copied();
    all.clone()
        .find(|cause| cause.detail() == detail)
        .unwrap_or_else(|| panic!("no cause has the text `{detail}`"))
}

/// Any cause, with any error number where it varies.
pub fn any_cause() -> impl proptest::strategy::Strategy<Value = Cause> {
    use proptest::prelude::*;
    (proptest::sample::select(Cause::ALL), (1..200).prop_map(Errno)).prop_map(|(cause, errno)| match cause {
        Cause::RstReceived(_) => Cause::RstReceived(errno),
        Cause::IcmpError(_) => Cause::IcmpError(errno),
        Cause::Timeout(timer, _) => Cause::Timeout(timer, errno),
        Cause::IcmpErrorOrTimeout(_) => Cause::IcmpErrorOrTimeout(errno),
        Cause::AfterIcmpError(_) => Cause::AfterIcmpError(errno),
        Cause::UnknownError(_) => Cause::UnknownError(errno),
        other => other,
    })
}
