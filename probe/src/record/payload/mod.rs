//! The JSON payloads of records. Every payload is an object, so that fields can be added.
//!
//! A field that is unknown is left out, and a missing field is unknown. Fields that this version does not know are
//! ignored.

mod bind_failure;
mod diag_entry;
mod encoding;
mod filter;
mod owner;
mod scenario;

use std::{collections::BTreeMap, io, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::{
    bind_failure::BindFailureJson,
    diag_entry::{DiagEntryJson, TimeWaitEntryJson},
    encoding::decimal,
    filter::FilterJson,
    owner::CgroupJson,
    scenario::{CheckJson, LabelJson, PhaseJson, SocketRowJson},
};
use super::{frame::kind, named::ByName, nanoseconds};
use crate::model::{Backend, BindFailure, Clock, DiagEntry, End, Filter, Host, Input, LossStage, Mono};

/// What the payload of a record says.
#[derive(Debug)]
pub enum Payload {
    /// Any input but [`Input::End`].
    Input(Box<Input>),
    /// The names of reset reasons by the kernel's numbers.
    ResetReasons(BTreeMap<u32, String>),
    /// The end of the recording.
    End {
        /// The end, of which a replay counts transitions, connections and findings again.
        end: End,
        /// How many records the recording has before this one, repeated context left out.
        records: u64,
    },
    /// Of a kind that this version does not know.
    Unknown,
}

/// The kind and the payload of the record for this input, after so many `earlier` records; none for an input that is a
/// record of the ring buffer.
pub fn encode(input: &Input, earlier: u64) -> io::Result<Option<(u8, Vec<u8>)>> {
    let encoded = match input {
        Input::Ready { host, backend, unavailable, existing } => {
            (kind::READY, json(&ReadyJson::of(host, *backend, unavailable, *existing))?)
        }
        Input::Filter(filter) => (kind::FILTER, json(&FilterJson::from(filter.as_ref()))?),
        Input::Existing { at, sockets } => {
            let mut part = ExistingPart::new(*at);
            sockets.iter().try_for_each(|socket| part.push(socket))?;
            (kind::EXISTING, part.finish())
        }
        Input::Cgroup(cgroup) => (kind::CGROUP, json(&CgroupJson::from(cgroup))?),
        Input::BindFailed(failure) => (kind::BIND_FAILED, encode_bind_failure(failure)?),
        Input::TimeWaitEntry(entry) => (kind::TIME_WAIT, json(&TimeWaitEntryJson::from(entry))?),
        Input::Tick(now) => (kind::TICK, json(&TickJson { at: now.0 })?),
        Input::Lost { count, stage } => {
            (kind::LOST, json(&LostJson { count: *count, stage: ByName(*stage) })?)
        }
        Input::Scenario { name, phase } => {
            (kind::SCENARIO, json(&ScenarioJson { name: name.clone(), phase: phase.into() })?)
        }
        Input::Check(check) => (kind::CHECK, json(&CheckJson::from(check))?),
        Input::Labels(labels) => {
            (kind::LABELS, json(&LabelsJson { labels: labels.iter().map(Into::into).collect() })?)
        }
        Input::Sockets(rows) => {
            (kind::SOCKETS, json(&SocketsJson { sockets: rows.iter().map(Into::into).collect() })?)
        }
        Input::Note(text) => (kind::NOTE, json(&NoteJson { text: text.clone() })?),
        Input::End(end) => {
            let end = EndJson {
                records: earlier,
                duration_ns: nanoseconds(end.duration),
                attach_ns: end.attach.map(nanoseconds),
            };
            (kind::END, json(&end)?)
        }
        Input::Report(_) | Input::Summary(_) | Input::Reset(_) => return Ok(None),
    };
    Ok(Some(encoded))
}

/// The payload of a failed bind.
pub fn encode_bind_failure(failure: &BindFailure) -> io::Result<Vec<u8>> {
    json(&BindFailureJson::from(failure))
}

/// The payload with the names of reset reasons.
pub fn encode_reset_reasons(names: &BTreeMap<u32, String>) -> io::Result<Vec<u8>> {
    json(&ResetReasonsJson { names: names.clone() })
}

/// Decodes the payload of a record of this kind.
pub fn decode(kind: u8, bytes: &[u8]) -> Result<Payload, serde_json::Error> {
    let input = match kind {
        kind::READY => parse::<ReadyJson>(bytes)?.into_input(),
        kind::RESET_REASONS => {
            return Ok(Payload::ResetReasons(parse::<ResetReasonsJson>(bytes)?.names));
        }
        kind::FILTER => Input::Filter(Box::new(Filter::from(parse::<FilterJson>(bytes)?))),
        kind::EXISTING => {
            let existing: ExistingJson = parse(bytes)?;
            let sockets = existing.sockets.into_iter().map(Into::into).collect();
            Input::Existing { at: Mono(existing.at), sockets }
        }
        kind::CGROUP => Input::Cgroup(parse::<CgroupJson>(bytes)?.into()),
        kind::BIND_FAILED => Input::BindFailed(Box::new(parse::<BindFailureJson>(bytes)?.into())),
        kind::TIME_WAIT => Input::TimeWaitEntry(parse::<TimeWaitEntryJson>(bytes)?.into()),
        kind::TICK => Input::Tick(Mono(parse::<TickJson>(bytes)?.at)),
        kind::LOST => {
            let LostJson { count, stage: ByName(stage) } = parse(bytes)?;
            Input::Lost { count, stage }
        }
        kind::SCENARIO => {
            let ScenarioJson { name, phase } = parse(bytes)?;
            Input::Scenario { name, phase: phase.into() }
        }
        kind::CHECK => Input::Check(parse::<CheckJson>(bytes)?.into()),
        kind::LABELS => {
            Input::Labels(parse::<LabelsJson>(bytes)?.labels.into_iter().map(Into::into).collect())
        }
        kind::SOCKETS => {
            Input::Sockets(parse::<SocketsJson>(bytes)?.sockets.into_iter().map(Into::into).collect())
        }
        kind::NOTE => Input::Note(parse::<NoteJson>(bytes)?.text),
        kind::END => {
            let EndJson { records, duration_ns, attach_ns } = parse(bytes)?;
            let end = End {
                duration: Duration::from_nanos(duration_ns),
                attach: attach_ns.map(Duration::from_nanos),
                ..End::default()
            };
            return Ok(Payload::End { end, records });
        }
        _ => return Ok(Payload::Unknown),
    };
    Ok(Payload::Input(Box::new(input)))
}

fn json(payload: &impl Serialize) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(payload)?)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes)
}

/// An [`Input::Existing`] that is encoded socket by socket, so that it can be split by its length.
pub struct ExistingPart {
    json: Vec<u8>,
    is_empty: bool,
}

impl ExistingPart {
    /// One without sockets yet.
    pub fn new(at: Mono) -> Self {
        Self { json: format!(r#"{{"at":{},"sockets":["#, at.0).into_bytes(), is_empty: true }
    }

    /// Adds a socket.
    pub fn push(&mut self, socket: &DiagEntry) -> io::Result<()> {
        if !self.is_empty {
            self.json.push(b',');
        }
        self.is_empty = false;
        Ok(serde_json::to_writer(&mut self.json, &DiagEntryJson::from(socket))?)
    }

    /// Whether it has no sockets.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The bytes so far.
    pub fn len(&self) -> usize {
        self.json.len()
    }

    /// The payload.
    pub fn finish(mut self) -> Vec<u8> {
        self.json.extend_from_slice(b"]}");
        self.json
    }
}

/// [`Input::Ready`]
#[derive(Debug, Deserialize, Serialize)]
struct ReadyJson {
    kernel: String,
    arch: String,
    hostname: String,
    #[serde(with = "decimal")]
    realtime_offset_ns: i128,
    at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    netns: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ephemeral: Option<(u16, u16)>,
    backend: ByName<Backend>,
    #[serde(default)]
    unavailable: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    existing: Option<u64>,
}

#[derive(Debug, Deserialize, Serialize)]
struct ResetReasonsJson {
    names: BTreeMap<u32, String>,
}

/// [`Input::Existing`], which [`ExistingPart`] writes.
#[derive(Debug, Deserialize)]
struct ExistingJson {
    at: u64,
    sockets: Vec<DiagEntryJson>,
}

#[derive(Debug, Deserialize, Serialize)]
struct TickJson {
    at: u64,
}

#[derive(Debug, Deserialize, Serialize)]
struct LostJson {
    count: u64,
    stage: ByName<LossStage>,
}

#[derive(Debug, Deserialize, Serialize)]
struct ScenarioJson {
    name: String,
    phase: PhaseJson,
}

#[derive(Debug, Deserialize, Serialize)]
struct LabelsJson {
    labels: Vec<LabelJson>,
}

#[derive(Debug, Deserialize, Serialize)]
struct SocketsJson {
    sockets: Vec<SocketRowJson>,
}

#[derive(Debug, Deserialize, Serialize)]
struct NoteJson {
    text: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct EndJson {
    records: u64,
    duration_ns: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attach_ns: Option<u64>,
}

impl ReadyJson {
    fn of(host: &Host, backend: Backend, unavailable: &[String], existing: Option<u64>) -> Self {
        Self {
            kernel: host.kernel.clone(),
            arch: host.arch.clone(),
            hostname: host.hostname.clone(),
            realtime_offset_ns: host.clock.realtime_offset_ns,
            at: host.ready_at.0,
            netns: host.netns,
            ephemeral: host.ephemeral.as_ref().map(|range| (*range.start(), *range.end())),
            backend: ByName(backend),
            unavailable: unavailable.to_vec(),
            existing,
        }
    }

    fn into_input(self) -> Input {
        Input::Ready {
            host: Host {
                kernel: self.kernel,
                arch: self.arch,
                hostname: self.hostname,
                clock: Clock { realtime_offset_ns: self.realtime_offset_ns },
                ready_at: Mono(self.at),
                netns: self.netns,
                ephemeral: self.ephemeral.map(|(first, last)| first..=last),
            },
            backend: self.backend.0,
            unavailable: self.unavailable,
            existing: self.existing,
        }
    }
}
