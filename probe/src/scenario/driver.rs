//! The trait that a scenario implements, and running one.

use super::{context::Context, options::Options, scenario_run::ScenarioRun, step_error::StepError};

/// What both endpoints send to each other.
pub const PAYLOAD: &str = "I love you.";

/// A driver with its expectations.
pub trait Scenario: Send + Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// What it demonstrates, in one clause.
    fn summary(&self) -> &str;

    /// Makes the connections, waits for the outcome of each step and closes every socket that it has
    /// registered. When this returns, all of them have reached CLOSE.
    ///
    /// # Errors
    /// This host does not support what the scenario requires, or a step failed.
    fn drive(&self, context: &mut Context) -> Result<(), StepError>;
}

/// Runs a scenario. Blocks until its driver has returned, so call it on a thread of its own. By then every
/// registered socket is closed, but the kernel's reports may still be in the ring buffer (see
/// [`ScenarioRun::all_closed`]).
#[must_use]
pub fn run(scenario: &dyn Scenario, options: &Options) -> ScenarioRun {
    let mut context = Context::new(scenario.name(), options.clone());
    let result = scenario.drive(&mut context);
    context.finish(result)
}
