//! The scenarios, one file each. To add one, add a file here and a line in [`ALL`].

mod filters;
mod open;
mod overload;
mod pace;
mod quiet;
mod resets;
mod run;
mod stall;
mod start;
mod threads;
mod throughput;

use anyhow::Result;

use super::{Bench, table::Table};

/// A measurement.
pub struct Scenario {
    /// Its name, for `--scenario NAME`.
    pub name: &'static str,
    /// Runs it. Tracers that fail are left out and listed in the report.
    pub measure: fn(&mut Bench) -> Result<Table>,
}

/// The scenario that runs last, at least once, then as long as time is left.
pub const LAST: &str = "throughput";

/// All scenarios in the order of the report; they run in reverse.
pub const ALL: &[Scenario] = &[
    Scenario { name: LAST, measure: throughput::measure },
    Scenario { name: "resets", measure: resets::measure },
    Scenario { name: "threads", measure: threads::measure },
    Scenario { name: "overload", measure: overload::measure },
    Scenario { name: "stall", measure: stall::measure },
    Scenario { name: "open", measure: open::measure },
    Scenario { name: "start", measure: start::measure },
    Scenario { name: "quiet", measure: quiet::measure },
    Scenario { name: "pace", measure: pace::measure },
    Scenario { name: "filters", measure: filters::measure },
];
