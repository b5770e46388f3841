//! What is measured, a file each. A new one is a file here, and a line in [`ALL`].

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

/// Something that is measured.
pub struct Scenario {
    /// What it is called: `--scenario NAME`.
    pub name: &'static str,
    /// Measures it. A tracer that cannot is left out and said to be.
    pub measure: fn(&mut Bench) -> Result<Table>,
}

/// The one that is measured last, as often as there is time: at least once.
pub const LAST: &str = "throughput";

/// All, in the order of the report: the last is measured first.
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
