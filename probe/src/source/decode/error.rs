//! Why a record cannot be decoded.

use thiserror::Error;

/// A record that is not as [`probe_ebpf`] defines it.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The kind is unknown, or the length is not that of the kind.
    #[error("malformed record: {length} bytes, {}", kind_text(*.kind))]
    Layout {
        /// The length in bytes.
        length: usize,
        /// The kind, if the record is long enough to have one.
        kind: Option<u16>,
    },
    /// A field has a value without a meaning.
    #[error("malformed record: {field} is {value}")]
    Value {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u32,
    },
}

fn kind_text(kind: Option<u16>) -> String {
    match kind {
        Some(kind) => format!("which no record of kind {kind} has"),
        None => "too short for a header".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_what_is_malformed() {
        let text = |error: DecodeError| error.to_string();
        assert_eq!(
            text(DecodeError::Layout { length: 60, kind: Some(1) }),
            "malformed record: 60 bytes, which no record of kind 1 has"
        );
        assert_eq!(
            text(DecodeError::Layout { length: 3, kind: None }),
            "malformed record: 3 bytes, too short for a header"
        );
        assert_eq!(
            text(DecodeError::Value { field: "protocol", value: 132 }),
            "malformed record: protocol is 132"
        );
    }
}
