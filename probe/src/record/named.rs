//! Enumerations of the model that are written by name. The output, its schema and recordings share one
//! list of names, so that they cannot disagree.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::model::{
    Backend, BehaviourGroup, BehaviourStatus, CauseKind, ClosedBy, FacilityGroup, FacilityStatus, Family,
    FindingKind, HazardKind, Known, LossStage, Open, OpenerFate, Protocol, State,
};

/// An enumeration of the model whose variants have names.
pub trait Named: Copy + 'static {
    /// The name of the type in the schema.
    const SCHEMA_NAME: &'static str;
    /// A noun for one variant, in error messages and in the schema.
    const NOUN: &'static str;
    /// Every variant.
    const ALL: &'static [Self];

    /// The name of the variant.
    fn name(self) -> &'static str;
}

/// Lists the variants of types that have a method `name`. The match makes the compiler check that each list is complete.
macro_rules! named {
    ($($schema_name:literal, $noun:literal, $type:ident: $($value:ident)*;)*) => {$(
        impl Named for $type {
            const SCHEMA_NAME: &'static str = $schema_name;
            const NOUN: &'static str = $noun;
            const ALL: &'static [Self] = &[$(Self::$value),*];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$value)|* => $type::name(self),
                }
            }
        }
    )*};
}

named! {
    "backend", "backend", Backend: TpBtf Tracepoint;
    "behaviour_group", "group of behaviours", BehaviourGroup: Open Listen Close Ports;
    "behaviour_status", "status of a behaviour", BehaviourStatus: AsExpected Differs Unsupported Failed;
    "cause_kind", "kind of cause", CauseKind: Call Segment Timer Kernel;
    "closed_by", "way of closing a connection", ClosedBy: Local Remote Both ResetLocal ResetRemote Timeout Kernel;
    "facility_group", "group of facilities", FacilityGroup: Host Kernel User Sysctl;
    "facility_status", "status of a facility", FacilityStatus: Ok Unavailable Unknown;
    "family", "address family", Family: Ipv4 Ipv6;
    "finding_kind", "kind of finding", FindingKind:
        SelfConnect SimultaneousOpen SimultaneousClose PortSharing ConnectFailed ConnectGivenUp BindFailed IllegalTransition
        Stuck;
    "hazard_kind", "kind of hazard", HazardKind: EphemeralListener SelfConnected EphemeralExhaustion;
    "known", "way of knowing an owner", Known: Exact Listener Inferred Unknown;
    "loss_stage", "stage", LossStage: Ring Reader Kernel;
    "open", "way of opening a connection", Open: Active Passive Simultaneous SelfConnect Preexisting;
    "opener_fate", "fate of an opener", OpenerFate: Exited Closed Holds;
    "protocol", "protocol", Protocol: Tcp Mptcp;
    "state", "state", State:
        Established SynSent SynRecv FinWait1 FinWait2 TimeWait Close CloseWait LastAck Listen Closing
        NewSynRecv;
}

/// A variant, serialized as its name.
#[derive(Clone, Copy, Debug)]
pub struct ByName<T>(pub T);

impl<T: Named> Serialize for ByName<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de, T: Named> Deserialize<'de> for ByName<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let value = T::ALL.iter().find(|value| value.name() == name);
        value
            .map(|value| Self(*value))
            .ok_or_else(|| D::Error::custom(format_args!("there is no {} `{name}`", T::NOUN)))
    }
}

impl<T: Named> JsonSchema for ByName<T> {
    fn schema_name() -> Cow<'static, str> {
        T::SCHEMA_NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = T::ALL.iter().map(|value| value.name()).collect();
        let description = format!("One {}, by its name.", T::NOUN);
        json_schema!({ "type": "string", "enum": names, "description": description })
    }
}
