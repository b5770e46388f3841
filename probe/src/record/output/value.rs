//! Values of the output with a format of their own, each with its schema.

use std::{borrow::Cow, num::NonZeroU32};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::model::SocketId;

/// The value of `v` in every object.
const VERSION: u8 = 1;

/// The version of the field names and their meaning.
#[derive(Clone, Copy, Debug)]
pub struct Version;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(VERSION)
    }
}

impl JsonSchema for Version {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer",
            "const": VERSION,
            "description": "The version of the field names and their meaning.",
        })
    }
}

/// A 64-bit identifier as a decimal string, because many JSON parsers represent numbers in 53 bits.
#[derive(Clone, Copy, Debug)]
pub struct Decimal(pub u64);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonSchema for Decimal {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "decimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(0|[1-9][0-9]{0,19})$" })
    }
}

/// The generation; `None` for 0, which stands for a socket whose opening was not observed.
pub fn generation(socket: SocketId) -> Option<NonZeroU32> {
    NonZeroU32::new(socket.generation)
}
