//! The lines of a recording between its header and its end, and how they become events again.

mod filter;
mod listed;
mod owner;
mod refused;
mod report;
mod said;
mod summary;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use self::{
    filter::FilterLine,
    listed::{DiagLine, TimeWaitLine},
    owner::CgroupLine,
    refused::{BindFailedLine, ResetLine},
    report::ReportLine,
    said::{CheckLine, LabelLine, PhaseLine, SocketLine},
    summary::SummaryLine,
};
use super::{
    names, nanoseconds,
    reader::Entry,
    word::{self, Word},
};
use crate::model::{Backend, Clock, End, Event, Host, Mono};

/// One line. The tag stands outside so that an error inside has its column.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Line {
    /// [`Event::Ready`]
    Ready(ReadyLine),
    /// What the reasons of resets are called, by the running kernel's numbers: for reading the records.
    Reasons(BTreeMap<u32, String>),
    /// [`Event::Filter`]
    Filter(Box<FilterLine>),
    /// [`Event::Existing`]
    Existing { at: u64, sockets: Vec<DiagLine> },
    /// [`Event::Cgroup`]
    Cgroup(CgroupLine),
    /// [`Event::Report`]
    Report(Box<ReportLine>),
    /// [`Event::Summary`]
    Summary(Box<SummaryLine>),
    /// [`Event::BindFailed`]
    BindFailed(Box<BindFailedLine>),
    /// [`Event::Reset`]
    Reset(Box<ResetLine>),
    /// [`Event::TimeWaitEntry`]
    TimeWaitEntry(Box<TimeWaitLine>),
    /// [`Event::Tick`], in nanoseconds.
    Tick(u64),
    /// [`Event::Lost`]
    Lost {
        count: u64,
        #[serde(with = "word::stage")]
        stage: String,
    },
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
    /// [`Event::End`], with how many entries stand between the header and it: lines, and records. Its own counts are
    /// of derived events, and made again.
    End { events: u64, duration_ns: u64, attach_ns: Option<u64> },
}

impl Line {
    /// The line that keeps this event, after so many `earlier` ones; none for a derived one.
    pub fn of(event: &Event, earlier: u64) -> Option<Self> {
        Some(match event {
            Event::Ready { host, backend, unavailable, existing } => {
                Self::Ready(ReadyLine::of(host, *backend, unavailable, *existing))
            }
            Event::Filter(filter) => Self::Filter(Box::new(filter.as_ref().into())),
            Event::Existing { at, sockets } => {
                Self::Existing { at: at.0, sockets: sockets.iter().map(Into::into).collect() }
            }
            Event::Cgroup(cgroup) => Self::Cgroup(cgroup.into()),
            Event::Report(report) => Self::Report(Box::new(report.into())),
            Event::Summary(summary) => Self::Summary(Box::new(summary.into())),
            Event::BindFailed(failure) => Self::BindFailed(Box::new(failure.as_ref().into())),
            Event::Reset(reset) => Self::Reset(Box::new(reset.into())),
            Event::TimeWaitEntry(remains) => Self::TimeWaitEntry(Box::new(remains.into())),
            Event::Tick(now) => Self::Tick(now.0),
            Event::Lost { count, stage } => Self::Lost { count: *count, stage: stage.clone() },
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
            Event::Transition(_) | Event::Connection(_) | Event::Finding(_) | Event::Behaviour(_) => {
                return None;
            }
        })
    }

    /// What the line keeps.
    pub fn into_entry(self) -> Entry<'static> {
        Entry::Event(Box::new(match self {
            Self::Reasons(reasons) => return Entry::Reasons(reasons),
            Self::Ready(ready) => ready.into_event(),
            Self::Filter(filter) => Event::Filter(Box::new((*filter).into())),
            Self::Existing { at, sockets } => {
                Event::Existing { at: Mono(at), sockets: sockets.into_iter().map(Into::into).collect() }
            }
            Self::Cgroup(cgroup) => Event::Cgroup(cgroup.into()),
            Self::Report(report) => Event::Report((*report).into()),
            Self::Summary(summary) => Event::Summary((*summary).into()),
            Self::BindFailed(failure) => Event::BindFailed(Box::new((*failure).into())),
            Self::Reset(reset) => Event::Reset((*reset).into()),
            Self::TimeWaitEntry(remains) => Event::TimeWaitEntry((*remains).into()),
            Self::Tick(now) => Event::Tick(Mono(now)),
            Self::Lost { count, stage } => Event::Lost { count, stage },
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
        }))
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
    at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    netns: Option<u32>,
    ephemeral: Option<(u16, u16)>,
    backend: Word<Backend>,
    unavailable: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    existing: Option<u64>,
}

impl ReadyLine {
    fn of(host: &Host, backend: Backend, unavailable: &[String], existing: Option<u64>) -> Self {
        Self {
            kernel: host.kernel.clone(),
            arch: host.arch.clone(),
            hostname: host.hostname.clone(),
            realtime_offset_ns: host.clock.realtime_offset_ns,
            at: host.ready_at.0,
            netns: host.netns,
            ephemeral: host.ephemeral.as_ref().map(|range| (*range.start(), *range.end())),
            backend: Word(backend),
            unavailable: unavailable.to_vec(),
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
