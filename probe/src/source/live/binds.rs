//! The program that reports failed binds, where the host supports it.

use aya::Ebpf;
use probe_ebpf::Field;
use thiserror::Error;

use super::{
    attach::attach_classic,
    error::LiveError,
    fields::Fields,
    format::{BIND, Format, FormatError},
    options::LiveOptions,
};

const PROGRAM: &str = "bind_failed";

/// The fields through which the program finds a descriptor's socket.
const DESCRIPTOR_PATH: [Field; 10] = [
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
    /// The program cannot distinguish TCP sockets from other sockets.
    #[error(
        "finding the socket of a descriptor needs the kernel's type information: \
         use a kernel with CONFIG_DEBUG_INFO_BTF"
    )]
    NoTypes,
    /// The kernel lacks `bpf_task_pt_regs`, or its registers have other names.
    #[error("reading the arguments of a system call needs Linux 5.15 on x86-64 or arm64")]
    NoArguments,
    /// The tracepoint is not available.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The kernel rejects the program.
    #[error(transparent)]
    Program(#[from] LiveError),
}

/// Failed binds on this host; `None` where they are not requested.
pub struct Binds(Option<Result<(), BindsError>>);

impl Binds {
    /// Checks whether failed binds can be reported, and adds the fields that the program needs.
    pub fn prepare(options: &LiveOptions, fields: &mut Fields) -> Self {
        Self(options.binds.then(|| prepare(fields)))
    }

    /// The program, if it is to be attached.
    pub fn program(&self) -> Option<&'static str> {
        matches!(self.0, Some(Ok(()))).then_some(PROGRAM)
    }

    /// Attaches the program. Returns what is unavailable on this host, for the user.
    pub fn attach(self, ebpf: &mut Ebpf) -> Option<String> {
        let attached = self.0?.and_then(|()| Ok(attach_classic(ebpf, PROGRAM, &BIND)?));
        attached.err().map(|error| format!("binds that fail are not reported: {error}"))
    }
}

fn prepare(fields: &mut Fields) -> Result<(), BindsError> {
    if !DESCRIPTOR_PATH.iter().all(|field| fields.has(*field)) {
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
    fn failed_binds_need_type_information() {
        assert!(matches!(prepare(&mut Fields::none()), Err(BindsError::NoTypes)));
    }
}
