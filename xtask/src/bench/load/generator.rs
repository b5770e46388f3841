//! The generator process: reads requests, opens connections and answers, until end of input.

use std::io::{self, BufRead as _};

use anyhow::{Context as _, Result};

use super::{Completed, Request, churn, hold::Holders, namespace};
use crate::bench::process::monotonic_ns;

/// The subcommand with which xtask starts itself as the generator.
pub const CHORE: &str = "bench-load";

/// Handles requests until end of input.
///
/// # Errors
/// A request failed; the process exits with that error.
pub fn generate() -> Result<()> {
    namespace::enter().context("the load generator needs a network namespace of its own")?;
    let mut holders = Holders::default();
    for line in io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        let begun_ns = monotonic_ns();
        let (connections, transitions) = execute(request, &mut holders)?;
        let seconds = (monotonic_ns() - begun_ns) as f64 / 1e9;
        let done = Completed { connections, transitions, begun_ns, seconds };
        println!("{}", serde_json::to_string(&done)?);
    }
    Ok(())
}

/// Returns the numbers of connections and transitions.
fn execute(request: Request, holders: &mut Holders) -> Result<(u64, u64)> {
    match request {
        Request::Churn(churn) => churn::churn(churn),
        Request::Hold(connections) => holders.hold(connections),
        Request::Release => holders.release(),
    }
}
