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
    named::{self, ByName},
    names, nanoseconds,
    reader::Entry,
};
use crate::model::{Backend, Clock, End, Host, Input, Mono};

/// One line. The tag stands outside so that an error inside has its column.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Line {
    /// [`Input::Ready`]
    Ready(ReadyLine),
    /// What the reasons of resets are called, by the running kernel's numbers: for reading the records.
    Reasons(BTreeMap<u32, String>),
    /// [`Input::Filter`]
    Filter(Box<FilterLine>),
    /// [`Input::Existing`]
    Existing { at: u64, sockets: Vec<DiagLine> },
    /// [`Input::Cgroup`]
    Cgroup(CgroupLine),
    /// [`Input::Report`]
    Report(Box<ReportLine>),
    /// [`Input::Summary`]
    Summary(Box<SummaryLine>),
    /// [`Input::BindFailed`]
    BindFailed(Box<BindFailedLine>),
    /// [`Input::Reset`]
    Reset(Box<ResetLine>),
    /// [`Input::TimeWaitEntry`]
    TimeWaitEntry(Box<TimeWaitLine>),
    /// [`Input::Tick`], in nanoseconds.
    Tick(u64),
    /// [`Input::Lost`]
    Lost {
        count: u64,
        #[serde(with = "named::stage")]
        stage: String,
    },
    /// [`Input::Scenario`]
    Scenario { name: String, phase: PhaseLine },
    /// [`Input::Check`]
    Check(CheckLine),
    /// [`Input::Labels`]
    Labels(Vec<LabelLine>),
    /// [`Input::Sockets`]
    Sockets(Vec<SocketLine>),
    /// [`Input::Note`]
    Note(String),
    /// [`Input::End`], with how many entries stand between the header and it: lines, and records. Its own counts are
    /// of derived events, and made again.
    End { events: u64, duration_ns: u64, attach_ns: Option<u64> },
}

impl Line {
    /// The line that keeps this event, after so many `earlier` ones.
    pub fn of(event: &Input, earlier: u64) -> Self {
        match event {
            Input::Ready { host, backend, unavailable, existing } => {
                Self::Ready(ReadyLine::of(host, *backend, unavailable, *existing))
            }
            Input::Filter(filter) => Self::Filter(Box::new(filter.as_ref().into())),
            Input::Existing { at, sockets } => {
                Self::Existing { at: at.0, sockets: sockets.iter().map(Into::into).collect() }
            }
            Input::Cgroup(cgroup) => Self::Cgroup(cgroup.into()),
            Input::Report(report) => Self::Report(Box::new(report.into())),
            Input::Summary(summary) => Self::Summary(Box::new(summary.into())),
            Input::BindFailed(failure) => Self::BindFailed(Box::new(failure.as_ref().into())),
            Input::Reset(reset) => Self::Reset(Box::new(reset.into())),
            Input::TimeWaitEntry(remains) => Self::TimeWaitEntry(Box::new(remains.into())),
            Input::Tick(now) => Self::Tick(now.0),
            Input::Lost { count, stage } => Self::Lost { count: *count, stage: stage.clone() },
            Input::Scenario { name, phase } => Self::Scenario { name: name.clone(), phase: phase.into() },
            Input::Check(check) => Self::Check(check.into()),
            Input::Labels(labels) => Self::Labels(labels.iter().map(Into::into).collect()),
            Input::Sockets(rows) => Self::Sockets(rows.iter().map(Into::into).collect()),
            Input::Note(text) => Self::Note(text.clone()),
            Input::End(end) => Self::End {
                events: earlier,
                duration_ns: nanoseconds(end.duration),
                attach_ns: end.attach.map(nanoseconds),
            },
        }
    }

    /// What the line keeps.
    pub fn into_entry(self) -> Entry<'static> {
        Entry::Input(Box::new(match self {
            Self::Reasons(reasons) => return Entry::Reasons(reasons),
            Self::Ready(ready) => ready.into_event(),
            Self::Filter(filter) => Input::Filter(Box::new((*filter).into())),
            Self::Existing { at, sockets } => {
                Input::Existing { at: Mono(at), sockets: sockets.into_iter().map(Into::into).collect() }
            }
            Self::Cgroup(cgroup) => Input::Cgroup(cgroup.into()),
            Self::Report(report) => Input::Report((*report).into()),
            Self::Summary(summary) => Input::Summary((*summary).into()),
            Self::BindFailed(failure) => Input::BindFailed(Box::new((*failure).into())),
            Self::Reset(reset) => Input::Reset((*reset).into()),
            Self::TimeWaitEntry(remains) => Input::TimeWaitEntry((*remains).into()),
            Self::Tick(now) => Input::Tick(Mono(now)),
            Self::Lost { count, stage } => Input::Lost { count, stage },
            Self::Scenario { name, phase } => Input::Scenario { name, phase: phase.into() },
            Self::Check(check) => Input::Check(check.into()),
            Self::Labels(labels) => Input::Labels(labels.into_iter().map(Into::into).collect()),
            Self::Sockets(rows) => Input::Sockets(rows.into_iter().map(Into::into).collect()),
            Self::Note(text) => Input::Note(text),
            Self::End { duration_ns, attach_ns, .. } => Input::End(End {
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
    backend: ByName<Backend>,
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
            backend: ByName(backend),
            unavailable: unavailable.to_vec(),
            existing,
        }
    }

    fn into_event(self) -> Input {
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
