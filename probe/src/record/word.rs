//! The model's words: values that are written by their names, in the output, in its schema and in
//! recordings. One list for all three, so that they cannot disagree.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::model::{
    Backend, BehaviourGroup, BehaviourStatus, CauseKind, FacilityGroup, FacilityStatus, Family, FindingKind,
    HazardKind, Known, Open, Protocol, State,
};

/// A type of the model whose values have names.
pub trait Vocabulary: Copy + 'static {
    /// What the schema calls the type.
    const TITLE: &'static str;
    /// What one of its values is, in a message and in the schema.
    const MEANING: &'static str;
    /// Every value.
    const ALL: &'static [Self];

    /// The value's name.
    fn name(self) -> &'static str;
}

/// Lists the values of types that have a `name`; the compiler holds each list against the type.
macro_rules! vocabulary {
    ($($title:literal, $meaning:literal, $type:ident: $($value:ident)*;)*) => {$(
        impl Vocabulary for $type {
            const TITLE: &'static str = $title;
            const MEANING: &'static str = $meaning;
            const ALL: &'static [Self] = &[$(Self::$value),*];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$value)|* => $type::name(self),
                }
            }
        }
    )*};
}

vocabulary! {
    "backend", "backend", Backend: TpBtf Tracepoint;
    "behaviour_group", "group of behaviours", BehaviourGroup: Open Listen Close Ports;
    "behaviour_status", "status of a behaviour", BehaviourStatus: AsExpected Differs Unsupported Failed;
    "cause_kind", "kind of cause", CauseKind: Call Segment Timer Kernel;
    "facility_group", "group of facilities", FacilityGroup: Host Kernel User Sysctl;
    "facility_status", "status of a facility", FacilityStatus: Ok Lacking Unknown;
    "family", "address family", Family: Ipv4 Ipv6;
    "finding_kind", "kind of finding", FindingKind:
        SelfConnect SimultaneousOpen SimultaneousClose PortSharing ConnectFailed BindFailed IllegalTransition
        Stuck;
    "hazard_kind", "kind of hazard", HazardKind: EphemeralListener SelfConnected EphemeralExhaustion;
    "known", "way of knowing an owner", Known: Exact Listener Inferred Unknown;
    "open", "way of opening a connection", Open: Active Passive Simultaneous SelfConnect Preexisting;
    "protocol", "protocol", Protocol: Tcp Mptcp;
    "state", "state", State:
        Established SynSent SynRecv FinWait1 FinWait2 TimeWait Close CloseWait LastAck Listen Closing
        NewSynRecv;
}

/// A value, written by its name.
#[derive(Clone, Copy, Debug)]
pub struct Word<T>(pub T);

impl<T: Vocabulary> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de, T: Vocabulary> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let value = T::ALL.iter().find(|value| value.name() == name);
        value
            .map(|value| Self(*value))
            .ok_or_else(|| D::Error::custom(format_args!("there is no {} `{name}`", T::MEANING)))
    }
}

impl<T: Vocabulary> JsonSchema for Word<T> {
    fn schema_name() -> Cow<'static, str> {
        T::TITLE.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = T::ALL.iter().map(|value| value.name()).collect();
        let description = format!("One {}, by its name.", T::MEANING);
        json_schema!({ "type": "string", "enum": names, "description": description })
    }
}

/// The places where reports can go missing: the ring between kernel and reader, the reader, which could not
/// make sense of one, and the kernel, which does not run a program that is running on that CPU already.
pub const STAGES: [&str; 3] = ["ring", "reader", "kernel"];

/// One of [`STAGES`], in a recording.
pub mod stage {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::STAGES;

    pub fn serialize<S: Serializer>(stage: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(stage)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        let stage = String::deserialize(deserializer)?;
        if STAGES.contains(&stage.as_str()) {
            Ok(stage)
        } else {
            Err(D::Error::custom(format_args!("there is no stage `{stage}` where reports are lost")))
        }
    }
}
