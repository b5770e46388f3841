//! Attaching the programs of a loaded object.

use std::thread;

use aya::{
    Ebpf,
    programs::{BtfTracePoint, Program, TracePoint},
};

use super::{
    error::LiveError,
    format::{TRANSITION, Tracepoint},
};

/// Attaches a program to a BTF tracepoint.
pub fn attach_btf(
    ebpf: &mut Ebpf,
    name: &'static str,
    tracepoint: &'static str,
    types: &aya::Btf,
) -> Result<(), LiveError> {
    let program: &mut BtfTracePoint = program(ebpf, name)?;
    let failed = |source| LiveError::Program { tracepoint: format!("tp_btf/{tracepoint}"), source };
    program.load(tracepoint, types).map_err(failed)?;
    program.attach().map_err(failed)?;
    Ok(())
}

/// Attaches the programs of these names, in this order: the kernel runs them in it (`tracepoint_add_func`). It takes its time to
/// verify them, and does that with each on a CPU of its own.
pub fn attach_transitions(
    ebpf: &mut Ebpf,
    names: [&'static str; 2],
    types: &aya::Btf,
) -> Result<(), LiveError> {
    let programs = ebpf.programs_mut().filter(|(name, _)| names.contains(name));
    let failed = |source| LiveError::Program { tracepoint: format!("tp_btf/{}", TRANSITION.name), source };
    thread::scope(|scope| {
        let loading: Vec<_> = programs
            .filter_map(|(_, program)| <&mut BtfTracePoint>::try_from(program).ok())
            .map(|program| scope.spawn(|| program.load(TRANSITION.name, types)))
            .collect();
        let join = |one: thread::ScopedJoinHandle<'_, _>| {
            one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        loading.into_iter().try_for_each(join).map_err(failed)
    })?;
    for name in names {
        program::<BtfTracePoint>(ebpf, name)?.attach().map_err(failed)?;
    }
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
    program.load().map_err(failed)?;
    program.attach(category, name).map_err(failed)?;
    Ok(())
}

fn program<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, LiveError>
where
    &'a mut P: TryFrom<&'a mut Program>,
{
    ebpf.program_mut(name).and_then(|program| program.try_into().ok()).ok_or(LiveError::NoPart(name))
}
