//! The program that reports failed binds, where the host has what it takes.

use aya::Ebpf;
use probe_ebpf::Field;
use thiserror::Error;

use super::{
    LiveError, LiveOptions,
    attach::attach_classic,
    fields::Fields,
    format::{BIND, Format, FormatError},
};

const PROGRAM: &str = "bind_failed";

/// The way from a descriptor to what is told of its socket.
const WAY: [Field; 10] = [
    Field::Files,
    Field::FileTable,
    Field::FileTableLength,
    Field::FileTableArray,
    Field::FilePrivate,
    Field::SocketFile,
    Field::SocketType,
    Field::SocketSock,
    Field::Protocol,
    Field::Family,
];

/// Why failed binds cannot be reported.
#[derive(Debug, Error)]
enum BindsError {
    /// Nothing tells TCP's sockets from others.
    #[error("the kernel has no type information to find a descriptor's socket by (CONFIG_DEBUG_INFO_BTF)")]
    NoTypes,
    /// No `bpf_task_pt_regs`, or registers of other names.
    #[error("to read a call's arguments takes Linux 5.15, and x86-64 or arm64")]
    NoArguments,
    /// No tracepoint.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The program.
    #[error(transparent)]
    Program(#[from] LiveError),
}

/// Failed binds on this host: nothing where nobody asked for them.
pub struct Binds(Option<Result<(), BindsError>>);

impl Binds {
    /// Finds out whether they can be reported, and adds to `fields` what the program needs.
    pub fn prepare(options: &LiveOptions, fields: &mut Fields) -> Self {
        Self(options.binds.then(|| prepare(fields)))
    }

    /// The program, where it is to be attached.
    pub fn program(&self) -> Option<&'static str> {
        matches!(self.0, Some(Ok(()))).then_some(PROGRAM)
    }

    /// Attaches the program. Returns what this host cannot give, in plain words.
    pub fn attach(self, ebpf: &mut Ebpf) -> Option<String> {
        let attached = self.0?.and_then(|()| Ok(attach_classic(ebpf, PROGRAM, &BIND)?));
        attached.err().map(|error| format!("binds that fail are not reported: {error}"))
    }
}

fn prepare(fields: &mut Fields) -> Result<(), BindsError> {
    if !WAY.iter().all(|field| fields.has(*field)) {
        return Err(BindsError::NoTypes);
    }
    if !fields.has(Field::FirstArgument) {
        return Err(BindsError::NoArguments);
    }
    fields.add_bind(&Format::of_kernel(&BIND)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_types_nothing_can_be_told() {
        assert!(matches!(prepare(&mut Fields::none()), Err(BindsError::NoTypes)));
    }
}
