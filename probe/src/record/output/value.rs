//! The single values of the output that have a form of their own, each with its schema.

use std::{borrow::Cow, num::NonZeroU32};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::model::SocketId;

/// What `v` says in every object.
const VERSION: u8 = 1;

/// The version of what the names mean.
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
            "description": "The version of what the names mean.",
        })
    }
}

/// A 64-bit identity as decimal text, since many readers of JSON keep 53 bits.
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

/// Generation 0 is one that was not seen.
pub fn generation(socket: SocketId) -> Option<NonZeroU32> {
    NonZeroU32::new(socket.generation)
}
