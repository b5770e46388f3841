//! The lines of a recording between its header and its end, and how they become events again.

mod report;
mod said;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::{
    report::ReportLine,
    said::{CheckLine, LabelLine, PhaseLine, SocketLine},
};
use super::{names, nanoseconds};
use crate::model::{Backend, Clock, End, Event, Host};

/// One line. The tag stands outside so that an error inside has its column.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Line {
    /// [`Event::Ready`]
    Ready(ReadyLine),
    /// [`Event::Report`]
    Report(Box<ReportLine>),
    /// [`Event::Lost`]
    Lost { count: u64, place: String },
    /// [`Event::Scenario`]
    Scenario { name: String, phase: PhaseLine },
    /// [`Event::Check`]
    Check(CheckLine),
    /// [`Event::Labels`]
    Labels(Vec<LabelLine>),
    /// [`Event::Sockets`]
    Sockets(Vec<SocketLine>),
    /// [`Event::Note`]
    Note(String),
    /// [`Event::End`], with how many lines stand between the header and it. Its own counts are of
    /// derived events, and made again.
    End { events: u64, duration_ns: u64, attach_ns: Option<u64> },
}

impl Line {
    /// The line that keeps this event, after so many `earlier` ones; none for a derived one.
    pub fn of(event: &Event, earlier: u64) -> Option<Self> {
        Some(match event {
            Event::Ready { host, backend, off, existing } => {
                Self::Ready(ReadyLine::of(host, *backend, off, *existing))
            }
            Event::Report(report) => Self::Report(Box::new(report.into())),
            Event::Lost { count, place } => Self::Lost { count: *count, place: place.clone() },
            Event::Scenario { name, phase } => Self::Scenario { name: name.clone(), phase: phase.into() },
            Event::Check(check) => Self::Check(check.into()),
            Event::Labels(labels) => Self::Labels(labels.iter().map(Into::into).collect()),
            Event::Sockets(rows) => Self::Sockets(rows.iter().map(Into::into).collect()),
            Event::Note(text) => Self::Note(text.clone()),
            Event::End(end) => Self::End {
                events: earlier,
                duration_ns: nanoseconds(end.duration),
                attach_ns: end.attach.map(nanoseconds),
            },
            Event::Transition(_) | Event::Connection(_) | Event::Finding(_) => return None,
            Event::Existing { .. }
            | Event::Cgroup(_)
            | Event::Summary(_)
            | Event::BindFailed(_)
            | Event::Reset(_)
            | Event::Remains(_)
            | Event::Tick(_) => return None,
        })
    }

    /// The event that the line keeps.
    pub fn into_event(self) -> Event {
        match self {
            Self::Ready(ready) => ready.into_event(),
            Self::Report(report) => Event::Report((*report).into()),
            Self::Lost { count, place } => Event::Lost { count, place },
            Self::Scenario { name, phase } => Event::Scenario { name, phase: phase.into() },
            Self::Check(check) => Event::Check(check.into()),
            Self::Labels(labels) => Event::Labels(labels.into_iter().map(Into::into).collect()),
            Self::Sockets(rows) => Event::Sockets(rows.into_iter().map(Into::into).collect()),
            Self::Note(text) => Event::Note(text),
            Self::End { duration_ns, attach_ns, .. } => Event::End(End {
                duration: Duration::from_nanos(duration_ns),
                attach: attach_ns.map(Duration::from_nanos),
                ..End::default()
            }),
        }
    }
}

/// The host that the recording was made on.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ReadyLine {
    kernel: String,
    arch: String,
    hostname: String,
    #[serde(with = "names::wide")]
    realtime_offset_ns: i128,
    ephemeral: Option<(u16, u16)>,
    #[serde(with = "names::backend")]
    backend: Backend,
    off: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    existing: Option<u64>,
}

impl ReadyLine {
    fn of(host: &Host, backend: Backend, off: &[String], existing: Option<u64>) -> Self {
        Self {
            kernel: host.kernel.clone(),
            arch: host.arch.clone(),
            hostname: host.hostname.clone(),
            realtime_offset_ns: host.clock.realtime_offset_ns,
            ephemeral: host.ephemeral.as_ref().map(|range| (*range.start(), *range.end())),
            backend,
            off: off.to_vec(),
            existing,
        }
    }

    fn into_event(self) -> Event {
        Event::Ready {
            host: Host {
                kernel: self.kernel,
                arch: self.arch,
                hostname: self.hostname,
                clock: Clock { realtime_offset_ns: self.realtime_offset_ns },
                ephemeral: self.ephemeral.map(|(first, last)| first..=last),
            },
            backend: self.backend,
            off: self.off,
            existing: self.existing,
        }
    }
}
