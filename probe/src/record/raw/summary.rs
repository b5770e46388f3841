//! A connection in one record, as a recording keeps it.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use super::report::ReportLine;
use crate::{
    model::{Mono, State, Summary},
    record::named::ByName,
};

/// [`Summary`], with what is unknown left out.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SummaryLine {
    end: ReportLine,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opened: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    established: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_port: Option<NonZeroU16>,
    path: Vec<ByName<State>>,
    path_is_complete: bool,
}

impl From<&Summary> for SummaryLine {
    fn from(summary: &Summary) -> Self {
        Self {
            end: (&summary.end).into(),
            opened: summary.opened.map(|at| at.0),
            established: summary.established.map(|at| at.0),
            first_port: summary.first_port,
            path: summary.path.iter().map(ByName).collect(),
            path_is_complete: summary.path_is_complete,
        }
    }
}

impl From<SummaryLine> for Summary {
    fn from(line: SummaryLine) -> Self {
        Self {
            end: line.end.into(),
            opened: line.opened.map(Mono),
            established: line.established.map(Mono),
            first_port: line.first_port,
            path: line.path.into_iter().map(|state| state.0).collect(),
            path_is_complete: line.path_is_complete,
        }
    }
}
