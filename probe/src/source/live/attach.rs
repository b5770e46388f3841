//! Attaching the programs of a loaded object.

use std::thread;

use aya::{
    Ebpf,
    programs::{BtfTracePoint, Program, TracePoint},
};

use super::{error::LiveError, format::Tracepoint};

/// A program's name, and the BTF tracepoint that it attaches to.
pub type BtfProgram = (&'static str, &'static str);

/// Loads programs before they are attached, in parallel, since the verifier takes long. A program that the kernel rejects
/// here is loaded again when it is attached, which returns the error.
pub fn load_in_parallel(
    ebpf: &mut Ebpf,
    btf: &[BtfProgram],
    classic: Option<&'static str>,
    types: &aya::Btf,
) {
    thread::scope(|scope| {
        for (name, program) in ebpf.programs_mut() {
            match program {
                Program::BtfTracePoint(program) => {
                    if let Some((_, tracepoint)) = btf.iter().find(|(program, _)| *program == name) {
                        scope.spawn(move || program.load(tracepoint, types));
                    }
                }
                Program::TracePoint(program) if classic == Some(name) => {
                    scope.spawn(move || program.load());
                }
                _ => {}
            }
        }
    });
}

/// Attaches a program to a BTF tracepoint.
///
/// # Errors
/// The object lacks the program, or the kernel rejects it.
pub fn attach_btf(
    ebpf: &mut Ebpf,
    (name, tracepoint): BtfProgram,
    types: &aya::Btf,
) -> Result<(), LiveError> {
    let program: &mut BtfTracePoint = program(ebpf, name)?;
    let failed = |source| LiveError::Program { tracepoint: format!("tp_btf/{tracepoint}"), source };
    if program.fd().is_err() {
        program.load(tracepoint, types).map_err(failed)?;
    }
    program.attach().map_err(failed)?;
    Ok(())
}

/// Attaches a program to a classic tracepoint.
///
/// # Errors
/// The object lacks the program, or the kernel rejects it.
pub fn attach_classic(
    ebpf: &mut Ebpf,
    name: &'static str,
    tracepoint: &'static Tracepoint,
) -> Result<(), LiveError> {
    let program: &mut TracePoint = program(ebpf, name)?;
    let Tracepoint { category, name, .. } = tracepoint;
    let failed = |source| LiveError::Program { tracepoint: format!("{category}/{name}"), source };
    if program.fd().is_err() {
        program.load().map_err(failed)?;
    }
    program.attach(category, name).map_err(failed)?;
    Ok(())
}

fn program<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, LiveError>
where
    &'a mut P: TryFrom<&'a mut Program>,
{
    ebpf.program_mut(name).and_then(|program| program.try_into().ok()).ok_or(LiveError::NoPart(name))
}
