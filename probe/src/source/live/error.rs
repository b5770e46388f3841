//! Why a host cannot be traced.

use std::{io, iter};

use aya::{EbpfError, programs::ProgramError};
use thiserror::Error;

use super::{btf::BtfError, format::FormatError};

/// Why this host cannot be traced.
#[derive(Debug, Error)]
pub enum LiveError {
    /// No privilege for BPF.
    #[error(
        "loading BPF programs is not permitted: run as root, \
         or with CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN"
    )]
    NoPrivilege,
    /// Every backend failed.
    #[error("this kernel cannot be traced: {0}")]
    Backends(String),
    /// The object or a map of it.
    #[error("the programs were not accepted: {}", chain(.0))]
    Object(#[from] EbpfError),
    /// A program.
    #[error("the program on {tracepoint} was not accepted: {}", chain(.source))]
    Program {
        /// What it was to hang on.
        tracepoint: String,
        /// The loader's word.
        source: ProgramError,
    },
    /// The BTF tracepoint's program calls helpers that this kernel has not, or not there.
    #[error("on a BTF tracepoint a socket's cookie and storage take Linux 5.12: this is {0}")]
    TooOld(String),
    /// Type information.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The classic tracepoint.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// FilterFlags for.
    #[error("the kernel's type information was to be left aside")]
    LeftAside,
    /// The kernel's types lack what the BTF tracepoint needs.
    #[error("this kernel's type information lacks the fields of struct sock")]
    NoFields,
    /// Reports are wanted by namespace.
    #[error(
        "reports do not tell which namespace a socket is in: that takes the kernel's type information (BTF)"
    )]
    NoNamespaces,
    /// The object has no such part: it is not this version's.
    #[error("the kernel side has no {0}")]
    NoPart(&'static str),
    /// Attached, and yet no report came of a socket that was opened.
    #[error(
        "the program is attached, and yet the kernel did not report a socket that was opened to see: please send a bug report with `uname -a`"
    )]
    Silent,
    /// A map, or waiting on it.
    #[error("cannot read the ring: {0}")]
    Ring(io::Error),
}

/// The error with all that caused it, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in causes(error).skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    // The verifier's log has its place under -v; here its last words are enough.
    text.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect::<Vec<_>>().join(" ")
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    iter::successors(Some(error), |error| error.source())
}

/// Whether the kernel said "not permitted" anywhere beneath.
pub fn is_permission(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::PermissionDenied)
}
