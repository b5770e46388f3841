//! The floor: a kernel program that counts transitions and does nothing else, in a process of its own, as a tracer is.
//!
//! No tool can cost less that has a program run at each transition, and none that is in use comes near: perf's counter
//! and bpftrace's go the way of the classic tracepoint, which makes a record of each event before anybody asks.

mod object;

use std::sync::mpsc::channel;

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::Array,
    programs::{ProgramError, RawTracePoint},
};

use self::object::{COUNTS, Counts, PROGRAM};

/// The name under which xtask starts itself as the counter.
pub const CHORE: &str = "bench-floor";

/// What it says when it counts.
pub const READY: &str = "ready";

/// Before the count, at the end.
pub const COUNT: &str = "transitions: ";

/// Counts the host's transitions until SIGINT comes, and says how many there were.
///
/// # Errors
/// The program cannot be loaded, or not attached.
pub fn count_transitions() -> Result<()> {
    let (tell, asked) = channel();
    // Nobody hears of a second one.
    ctrlc::set_handler(move || _ = tell.send(()))?;
    let mut kernel = Ebpf::load(&object::counter()?).context("could not load the counter")?;
    attach(&mut kernel).with_context(|| format!("could not attach to {PROGRAM}"))?;
    println!("{READY}");
    asked.recv()?;
    let counts = Array::<_, Counts>::try_from(kernel.map(COUNTS).context("the counter has no map")?)?;
    println!("{COUNT}{}", counts.get(&0, 0)?.iter().map(|[count, ..]| count).sum::<u64>());
    Ok(())
}

fn attach(kernel: &mut Ebpf) -> Result<(), ProgramError> {
    let program = kernel.program_mut(PROGRAM).ok_or(ProgramError::NotLoaded)?;
    let program: &mut RawTracePoint = program.try_into()?;
    program.load()?;
    program.attach(PROGRAM)?;
    Ok(())
}
