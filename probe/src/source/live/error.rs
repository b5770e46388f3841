//! Why a host cannot be traced.

use std::{io, iter};

use aya::{EbpfError, programs::ProgramError};
use thiserror::Error;

use super::{btf::BtfError, format::FormatError};

/// Why this host cannot be traced.
#[derive(Debug, Error)]
pub enum LiveError {
    /// The process may not load BPF programs.
    #[error(
        "loading BPF programs is not permitted: run as root, \
         or with CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN"
    )]
    NoPrivilege,
    /// The process may not open enough files: maps, programs and links are descriptors.
    #[error(
        "tracing needs {needed} open files, and this process may have only {limit}: raise the limit, e.g. `ulimit -n 1024`"
    )]
    OpenFiles {
        /// How many it needs.
        needed: u64,
        /// How many it may have.
        limit: u64,
    },
    /// No backend works. The text has the error of each.
    #[error("this kernel cannot be traced: {0}")]
    Backends(String),
    /// The kernel rejected the object or one of its maps.
    #[error("the kernel rejected the BPF object: {}", chain(.0))]
    Object(#[from] EbpfError),
    /// The kernel rejected a program.
    #[error("the kernel rejected the program for {tracepoint}: {}", chain(.source))]
    Program {
        /// The tracepoint of the program.
        tracepoint: String,
        /// The loader's error.
        source: ProgramError,
    },
    /// The BTF tracepoint's program calls helpers that this kernel does not provide to it.
    #[error(
        "this kernel is {0}, and the BTF tracepoint needs Linux 5.12 or later, \
         for a socket's cookie and storage"
    )]
    TooOld(String),
    /// Type information.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The classic tracepoint.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The options exclude type information.
    #[error("the kernel's type information is ignored, as requested")]
    BtfIgnored,
    /// The kernel's types lack what the BTF tracepoint needs.
    #[error("the kernel's type information lacks required fields of struct sock")]
    NoFields,
    /// Namespaces are to be selected, and reports do not contain them.
    #[error(
        "selecting network namespaces needs the kernel's type information: \
         use a kernel with CONFIG_DEBUG_INFO_BTF"
    )]
    NoNamespaces,
    /// The object lacks a part: it was built from another version.
    #[error("the BPF object has no {0}: rebuild probe")]
    NoPart(&'static str),
    /// The programs are attached, and the kernel reported no transition of a socket that this process opened.
    #[error(
        "the programs are attached, but the kernel did not report a socket that probe opened as a test: \
         report a bug with the output of `uname -a`"
    )]
    Silent,
    /// The list of CPUs, of which each has a ring, cannot be read.
    #[error("cannot read {path}: {source}")]
    Cpus {
        /// The file.
        path: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The rings cannot be mapped, polled or read.
    #[error("cannot read the ring buffers: {0}")]
    Ring(io::Error),
}

/// The error and its causes, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in causes(error).skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    shortened(&text)
}

/// The text in one line. Of a longer one, such as the verifier's log, the first line, which is the error, and the last,
/// which is why the verifier rejected the program.
fn shortened(text: &str) -> String {
    const STATISTICS: [&str; 3] = ["processed ", "verification time ", "stack depth "];
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !STATISTICS.iter().any(|start| line.starts_with(start)))
        .collect();
    match lines.as_slice() {
        [first, _, _, .., last] => format!("{first} … {last}"),
        lines => lines.join(" "),
    }
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    iter::successors(Some(error), |error| error.source())
}

/// Whether one of the causes is a missing permission.
pub fn is_permission(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::PermissionDenied)
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_log_is_shortened_to_the_error_and_the_reason() {
        let log = "the BPF_PROG_LOAD syscall returned Permission denied (os error 13). Verifier output: \
            func#0 @0\n0: R1=ctx() R10=fp0\n0: (79) r1 = *(u64 *)(r1 +0)\nR1 invalid mem access 'scalar'\n\
            verification time 12 usec\nstack depth 0\nprocessed 1 insns (limit 1000000) max_states_per_insn 0\n";
        assert_eq!(
            shortened(log),
            "the BPF_PROG_LOAD syscall returned Permission denied (os error 13). Verifier output: func#0 @0 \
             … R1 invalid mem access 'scalar'"
        );
        assert_eq!(shortened("an error\n with one reason\n"), "an error with one reason");
    }
}
