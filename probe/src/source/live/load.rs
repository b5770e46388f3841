//! Loading and attaching the programs.

use std::{io, thread};

use aya::{
    Ebpf, EbpfError, EbpfLoader,
    programs::{BtfTracePoint, ProgramError, TracePoint},
};
use log::{debug, info};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use probe_ebpf::Field;
use thiserror::Error;

use super::{
    btf::{Btf, BtfError},
    fields::Fields,
    format::{Format, FormatError},
};
use crate::model::Backend;

/// How to trace.
#[derive(Clone, Debug, Default)]
pub struct LiveOptions {
    /// Which tracepoint; `None` takes the better one that works.
    pub backend: Option<Backend>,
    /// The ring's size; `None` is the program's own.
    pub ring_bytes: Option<u32>,
    /// Leaves the kernel's type information aside, as on a host that has none.
    pub without_btf: bool,
    /// Whether the kernel side says what it does. Off, the verifier drops the code that would.
    pub kernel_log: bool,
}

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
        tracepoint: &'static str,
        /// The loader's word.
        source: ProgramError,
    },
    /// Type information.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The classic tracepoint.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Asked for.
    #[error("the kernel's type information was to be left aside")]
    LeftAside,
    /// The kernel's types lack what the BTF tracepoint needs.
    #[error("this kernel's type information lacks the fields of struct sock")]
    NoFields,
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
    std::iter::successors(Some(error), |error| error.source())
}

/// Whether the kernel said "not permitted" anywhere beneath.
fn is_permission(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::PermissionDenied)
}

/// The programs, attached.
pub struct Loaded {
    /// Keeps them attached.
    pub ebpf: Ebpf,
    /// Which of them.
    pub backend: Backend,
    /// What the reports will lack.
    pub off: Vec<String>,
}

/// Attaches the best program that this kernel takes.
pub fn load(options: &LiveOptions) -> Result<Loaded, LiveError> {
    // Needed before Linux 5.11 alone, and refused without CAP_SYS_RESOURCE: no reason to stop.
    if let Err(error) = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY) {
        debug!("RLIMIT_MEMLOCK stays: {error}");
    }
    let loaded = match options.backend {
        Some(Backend::TpBtf) => load_btf(options),
        Some(Backend::Tracepoint) => load_classic(options, None),
        None => load_btf(options).or_else(|error| {
            if is_permission(&error) {
                return Err(error);
            }
            info!("no BTF tracepoint: {error}");
            load_classic(options, Some(&error))
                .map_err(|classic| LiveError::Backends(format!("{error}; and the fallback: {classic}")))
        }),
    };
    loaded.map_err(|error| match error {
        LiveError::Format(FormatError::NotPermitted) => LiveError::NoPrivilege,
        error if is_permission(&error) => LiveError::NoPrivilege,
        error => error,
    })
}

fn load_btf(options: &LiveOptions) -> Result<Loaded, LiveError> {
    const TRACEPOINT: &str = "inet_sock_set_state";
    // aya parses all of the kernel's types to find one name in them. Two threads halve the wait: the
    // loader's own parse runs beside this one.
    let types = thread::spawn(aya::Btf::from_sys_fs);
    let fields = fields_of_types(options)?;
    if !fields.suffice() {
        return Err(LiveError::NoFields);
    }
    let mut ebpf = load_object(options, &fields)?;
    let types = types
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        .map_err(|error| LiveError::Object(EbpfError::BtfError(error)))?;
    let program: &mut BtfTracePoint = ebpf
        .program_mut("transition_btf")
        .and_then(|program| program.try_into().ok())
        .ok_or(LiveError::NoPart("transition_btf"))?;
    let failed = |source| LiveError::Program { tracepoint: "tp_btf/inet_sock_set_state", source };
    program.load(TRACEPOINT, &types).map_err(failed)?;
    program.attach().map_err(failed)?;
    Ok(Loaded { ebpf, backend: Backend::TpBtf, off: missing(&fields, &[]).into_iter().collect() })
}

/// `instead_of` is why the better backend failed.
fn load_classic(options: &LiveOptions, instead_of: Option<&LiveError>) -> Result<Loaded, LiveError> {
    // Type information is welcome here but not needed.
    let mut fields = fields_of_types(options).unwrap_or_else(|error| {
        debug!("without type information: {error}");
        Fields::none()
    });
    fields.add_event(&Format::of_kernel()?);
    // The helper behind it is newer than this backend's kernels.
    fields.forget(Field::SyscallNumber);
    let why = instead_of.map(|error| format!("the classic tracepoint stands in for the BTF one: {error}"));
    let by_port = "owners of accepted sockets, where more than one process listens on the port";
    let off = why.into_iter().chain(missing(&fields, &[by_port])).collect();
    let mut ebpf = load_object(options, &fields)?;
    let program: &mut TracePoint = ebpf
        .program_mut("transition_classic")
        .and_then(|program| program.try_into().ok())
        .ok_or(LiveError::NoPart("transition_classic"))?;
    let failed = |source| LiveError::Program { tracepoint: "sock/inet_sock_set_state", source };
    program.load().map_err(failed)?;
    program.attach("sock", "inet_sock_set_state").map_err(failed)?;
    Ok(Loaded { ebpf, backend: Backend::Tracepoint, off })
}

/// What the reports will lack, in one line.
fn missing(fields: &Fields, more: &[&'static str]) -> Option<String> {
    let lacks: Vec<_> = fields.lacks().into_iter().chain(more.iter().copied()).collect();
    (!lacks.is_empty()).then(|| format!("not known here: {}", lacks.join("; ")))
}

fn fields_of_types(options: &LiveOptions) -> Result<Fields, LiveError> {
    let mut fields = Fields::none();
    if options.without_btf {
        return Err(LiveError::LeftAside);
    }
    fields.add_types(&Btf::of_kernel()?);
    Ok(fields)
}

fn load_object(options: &LiveOptions, fields: &Fields) -> Result<Ebpf, LiveError> {
    let log_level = if options.kernel_log { aya_log::Level::Debug as u8 } else { 0 };
    let mut loader = EbpfLoader::new();
    loader.override_global("FIELDS", fields.table(), true);
    loader.override_global(aya_log::LEVEL, &log_level, true);
    let wakeup = u64::from(options.ring_bytes.unwrap_or(probe_ebpf::RING_BYTES)) / 4;
    loader.override_global("WAKEUP_BYTES", &wakeup, true);
    if let Some(bytes) = options.ring_bytes {
        loader.map_max_entries("EVENTS", bytes);
    }
    Ok(loader.load(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/probe-kernel")))?)
}
