//! The floor: a BPF program that only counts transitions, loaded by a separate process as any tracer is.
//!
//! No tool that runs a program per transition can cost less, and none in use comes near: perf stat and bpftrace use
//! the classic tracepoint, which builds a trace record for each event first.

mod object;

use std::sync::mpsc::channel;

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::Array,
    programs::{ProgramError, RawTracePoint},
};

use self::object::{COUNTS, Counts, PROGRAM};

/// The subcommand with which xtask starts itself as the counter.
pub const CHORE: &str = "bench-floor";

/// What it prints once it is attached.
pub const READY: &str = "ready";

/// Precedes the count in its last line.
pub const COUNT: &str = "transitions: ";

/// Counts the host's transitions until SIGINT arrives, then prints the count.
///
/// # Errors
/// The program cannot be loaded or attached.
pub fn count_transitions() -> Result<()> {
    let (tell, asked) = channel();
    // A second signal has no receiver.
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
