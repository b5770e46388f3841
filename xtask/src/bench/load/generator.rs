//! The generator's own process: orders in, connections made, answers out, until its input ends.

use std::io::{self, BufRead as _};

use anyhow::{Context as _, Result};

use super::{Done, Order, churn, hold::Holders, namespace};
use crate::bench::process::monotonic_ns;

/// The name under which xtask starts itself as the generator.
pub const CHORE: &str = "bench-load";

/// Carries out one order after the other.
///
/// # Errors
/// What could not be done; the process ends with it.
pub fn generate() -> Result<()> {
    namespace::enter().context("the load generator needs a network namespace of its own")?;
    let mut holders = Holders::default();
    for line in io::stdin().lock().lines() {
        let order: Order = serde_json::from_str(&line?)?;
        let begun_ns = monotonic_ns();
        let (connections, transitions) = carry_out(order, &mut holders)?;
        let seconds = (monotonic_ns() - begun_ns) as f64 / 1e9;
        let done = Done { connections, transitions, begun_ns, seconds };
        println!("{}", serde_json::to_string(&done)?);
    }
    Ok(())
}

/// Gives the numbers of connections and of transitions that were made.
fn carry_out(order: Order, holders: &mut Holders) -> Result<(u64, u64)> {
    match order {
        Order::Churn(churn) => churn::churn(churn),
        Order::Hold(connections) => holders.hold(connections),
        Order::Release => holders.release(),
    }
}
