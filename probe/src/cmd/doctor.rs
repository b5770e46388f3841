//! `probe doctor`: what this host supports, and its port hazards.

use std::time::SystemTime;

use super::{
    exit::{Exit, Failure},
    live, outcome, output,
};
use crate::{
    cli::{Common, DoctorArgs, Format},
    doctor, render,
    session::SessionError,
};

/// Tries out every facility and prints the results. The exit code says whether this host can be traced; hazards do not
/// change it.
pub async fn doctor(args: &DoctorArgs, common: &Common) -> Result<Exit, Failure> {
    let diagnosis = doctor::examine(&live::options(common)).await;
    let mut out = output::stdout();
    let written = match args.format {
        Format::Json => render::doctor::json(&diagnosis, SystemTime::now(), &mut out),
        Format::Table => render::doctor::table(&diagnosis, output::style(), &mut out),
    };
    let shown = outcome(written.map_err(SessionError::Output), |()| Exit::Expected)?;
    match diagnosis.refusal {
        Some(refusal) => Err(Failure::host(refusal)),
        None => Ok(shown),
    }
}
