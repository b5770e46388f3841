//! Attaching the programs of a loaded object.

use std::thread;

use aya::{
    Ebpf,
    programs::{BtfTracePoint, Program, TracePoint},
};

use super::{error::LiveError, format::Tracepoint};

/// A program by its name, and the tracepoint that it goes to.
pub type Typed = (&'static str, &'static str);

/// Loads programs before they are attached, each on a CPU of its own, as far as there are any: the kernel takes its time to verify
/// them. One that it refuses is loaded once more to be attached, which says why.
pub fn load_ahead(ebpf: &mut Ebpf, typed: &[Typed], classic: Option<&'static str>, types: &aya::Btf) {
    thread::scope(|scope| {
        for (name, program) in ebpf.programs_mut() {
            match program {
                Program::BtfTracePoint(program) => {
                    if let Some((_, tracepoint)) = typed.iter().find(|(typed, _)| *typed == name) {
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
pub fn attach_btf(ebpf: &mut Ebpf, (name, tracepoint): Typed, types: &aya::Btf) -> Result<(), LiveError> {
    let program: &mut BtfTracePoint = program(ebpf, name)?;
    let failed = |source| LiveError::Program { tracepoint: format!("tp_btf/{tracepoint}"), source };
    if program.fd().is_err() {
        program.load(tracepoint, types).map_err(failed)?;
    }
    program.attach().map_err(failed)?;
    Ok(())
}

/// Attaches a program to a classic tracepoint.
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
