//! `probe audit`: what this kernel's TCP really does.

use super::{
    exit::{Exit, Failure},
    live,
};
use crate::{
    audit::{Behaviour, catalogue},
    cli::{AuditArgs, Common},
    session::Auditor,
};

/// So many at once: most of them wait most of the time.
const AT_ONCE: usize = 16;

/// Plays what was asked for.
pub async fn audit(args: &AuditArgs, common: &Common) -> Result<Exit, Failure> {
    let chosen: Vec<&'static Behaviour> = catalogue::all()
        .filter(|behaviour| args.behaviours.is_empty() || args.behaviours.iter().any(|id| id == behaviour.id))
        .collect();
    let mut live = live::attach(&live::options(common))?;
    let begun = std::time::Instant::now();
    Auditor::new(chosen, AT_ONCE)
        .run(&mut live, |number, result| {
            println!(
                "{number:3} {:24} {:12} {}",
                result.id,
                result.status.name(),
                result.reason.clone().unwrap_or_default()
            );
            if result.status == crate::model::BehaviourStatus::Differs {
                println!("    expected {:?}\n    observed {:?}", result.expected, result.observed);
            }
            Ok(())
        })
        .await
        .map_err(Failure::unexpected)?;
    println!("{:?}", begun.elapsed());
    Ok(Exit::Expected)
}
