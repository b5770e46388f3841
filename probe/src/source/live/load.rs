//! Loads the best programs that this kernel supports.

use std::{iter, thread};

use aya::{Ebpf, EbpfError, EbpfLoader, Endianness};
use log::{debug, info};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use probe_ebpf::Field;

use super::{
    attach::{BtfProgram, attach_btf, attach_classic, load_in_parallel},
    binds::Binds,
    btf::{self, Btf},
    error::{LiveError, is_permission},
    fields::Fields,
    format::{FORK, FREE, Format, FormatError, TRANSITION},
    kernel_symbols::KernelSymbols,
    loader, misses,
    options::LiveOptions,
    resets::{self, Resets},
    ring::RingSize,
    select::{self, Selection},
    table_size::TableSize,
};
use crate::{
    model::{Backend, Host, kernel_version},
    net::host,
    os::memory,
    source::decode::ResetReasons,
};

/// The program on the BTF tracepoint.
const BTF_PROGRAM: &str = "transition_btf";

/// The first kernel that supports it: `bpf_get_socket_cookie` in tracing programs (c5dbb89fc2ac).
const OLDEST_FOR_BTF: [u32; 2] = [5, 12];

/// The program that handles the events for which the kernel skips that one.
const NESTED_PROGRAM: &str = "transition_nested";

/// Both, in the order in which they must run.
const BTF_PROGRAMS: [BtfProgram; 2] = [(NESTED_PROGRAM, TRANSITION.name), (BTF_PROGRAM, TRANSITION.name)];

/// The program on the classic tracepoint.
const CLASSIC_PROGRAM: &str = "transition_classic";

/// The name of the program that reports transitions.
pub fn transition_program(backend: Backend) -> &'static str {
    match backend {
        Backend::TpBtf => BTF_PROGRAM,
        Backend::Tracepoint => CLASSIC_PROGRAM,
    }
}

/// The attached programs.
pub struct Loaded {
    /// Keeps them attached.
    pub ebpf: Ebpf,
    /// The backend that they belong to.
    pub backend: Backend,
    /// What the reports lack on this host, for the user.
    pub unavailable: Vec<String>,
    /// The names of the reset reasons.
    pub reasons: ResetReasons,
    /// The size of the rings.
    pub rings: RingSize,
}

/// Attaches the best program that this kernel supports.
///
/// # Errors
/// [`LiveError`] says what this host lacks.
pub fn load(options: &LiveOptions) -> Result<Loaded, LiveError> {
    // Needed only before Linux 5.11, and refused without CAP_SYS_RESOURCE: a failure is no error yet.
    if let Err(error) = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY) {
        debug!("cannot raise RLIMIT_MEMLOCK: {error}");
    }
    let loaded = load_best(options);
    memory::trim();
    loaded.map_err(|error| match error {
        LiveError::Format(FormatError::NotPermitted) => LiveError::NoPrivilege,
        error if is_permission(&error) => LiveError::NoPrivilege,
        error => error,
    })
}

fn load_best(options: &LiveOptions) -> Result<Loaded, LiveError> {
    let rings = RingSize::of(options.ring_bytes)?;
    let mut symbols = KernelSymbols::look_up();
    match options.backend {
        Some(Backend::TpBtf) => load_btf(options, &mut symbols, rings),
        Some(Backend::Tracepoint) => load_classic(options, &mut symbols, rings, None),
        None => load_btf(options, &mut symbols, rings).or_else(|error| {
            if is_permission(&error) {
                return Err(error);
            }
            info!("the BTF tracepoint is unavailable: {error}");
            load_classic(options, &mut symbols, rings, Some(&error)).map_err(|classic| {
                LiveError::Backends(format!("{error}; the classic tracepoint fails too: {classic}"))
            })
        }),
    }
}

fn load_btf(
    options: &LiveOptions,
    symbols: &mut KernelSymbols,
    rings: RingSize,
) -> Result<Loaded, LiveError> {
    let btf = types_of_kernel(options)?;
    let mut fields = Fields::none();
    fields.add_types(&btf);
    if !fields.suffice() {
        return Err(LiveError::NoFields);
    }
    let binds = Binds::prepare(options, &mut fields);
    let mut resets = Resets::prepare(options, &btf);
    let loader = btf_loader();
    // Only attaching needs these, so that they are prepared while the object is loaded.
    let types = thread::spawn(move || types_of_tracepoints(btf));
    let loaded = load_object(loader, options, &mut fields, symbols, resets.watched(), rings);
    let types = types.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let mut ebpf = loaded?;
    let programs: Vec<_> = BTF_PROGRAMS.into_iter().chain(resets.programs()).collect();
    load_in_parallel(&mut ebpf, &programs, binds.program(), &types);
    if !resets.watch(&mut ebpf, &types) {
        // The programs were loaded with the promise that every RST marks its socket: load them without it.
        ebpf = load_object(btf_loader(), options, &mut fields, symbols, resets.watched(), rings)?;
    }
    // The kernel runs them in the order in which they are attached (`tracepoint_add_func`).
    BTF_PROGRAMS.into_iter().try_for_each(|program| attach_btf(&mut ebpf, program, &types)).map_err(
        |error| {
            debug!("{error}");
            let Host { kernel, .. } = host::facts();
            let is_old = kernel_version(&kernel).is_some_and(|version| version < OLDEST_FOR_BTF);
            if is_old && !is_permission(&error) { LiveError::TooOld(kernel) } else { error }
        },
    )?;
    resets.report(&mut ebpf, &types);
    symbols.fill(&mut ebpf)?;
    let (reasons, no_resets) = resets.finish();
    let unavailable = missing(&fields, symbols.missing())
        .into_iter()
        .chain(no_resets)
        .chain(binds.attach(&mut ebpf))
        .collect();
    Ok(Loaded { ebpf, backend: Backend::TpBtf, unavailable, reasons, rings })
}

/// A loader for the programs on the BTF tracepoint. They do not use the map by address, whose default size takes some
/// milliseconds and ten megabytes.
fn btf_loader() -> EbpfLoader<'static> {
    let mut loader = loader::new();
    loader.map_max_entries("ADDRESS_STATES", 1);
    loader
}

/// The types by which aya finds the tracepoints. Drops the kernel's own, which are some megabytes.
fn types_of_tracepoints(btf: Btf) -> Result<aya::Btf, LiveError> {
    aya::Btf::parse(&btf::tracepoints::tracepoints(&btf), Endianness::default())
        .map_err(|error| LiveError::Object(EbpfError::BtfError(error)))
}

/// `instead_of` is the error of the better backend, if it was tried.
fn load_classic(
    options: &LiveOptions,
    symbols: &mut KernelSymbols,
    rings: RingSize,
    instead_of: Option<&LiveError>,
) -> Result<Loaded, LiveError> {
    // This backend uses type information where there is any.
    let mut fields = Fields::none();
    match types_of_kernel(options) {
        Ok(btf) => fields.add_types(&btf),
        Err(error) => debug!("continuing without type information: {error}"),
    }
    fields.add_event(&Format::of_kernel(&TRANSITION)?);
    // The kernels that need this backend lack the helper that reads it.
    fields.remove(Field::SyscallNumber);
    let why = instead_of.map(|error| format!("using the classic tracepoint instead of the BTF one: {error}"));
    let by_port = "owners of accepted sockets if several processes listen on the port";
    let uncounted = misses::unknown_on_classic(&host::facts().kernel);
    let binds = Binds::prepare(options, &mut fields);
    let mut ebpf = load_object(loader::new(), options, &mut fields, symbols, false, rings)?;
    attach_classic(&mut ebpf, CLASSIC_PROGRAM, &TRANSITION)?;
    symbols.fill(&mut ebpf)?;
    let more = iter::once(by_port).chain(uncounted).chain(symbols.missing());
    let mut unavailable: Vec<_> = why.into_iter().chain(missing(&fields, more)).collect();
    unavailable.extend(options.resets.then(|| resets::NOT_CLASSIC.to_owned()));
    unavailable.extend(binds.attach(&mut ebpf));
    Ok(Loaded { ebpf, backend: Backend::Tracepoint, unavailable, reasons: ResetReasons::default(), rings })
}

/// What the reports lack, in one line.
fn missing(fields: &Fields, more: impl IntoIterator<Item = &'static str>) -> Option<String> {
    let all: Vec<_> = fields.missing().into_iter().chain(more).collect();
    (!all.is_empty()).then(|| format!("not reported on this kernel: {}", all.join("; ")))
}

fn types_of_kernel(options: &LiveOptions) -> Result<Btf, LiveError> {
    if options.without_btf {
        return Err(LiveError::BtfIgnored);
    }
    Ok(Btf::of_kernel()?)
}

/// Loads the object, and attaches the programs that both backends need. `watches_resets`: whether every received RST
/// marks its socket.
fn load_object(
    loader: EbpfLoader<'static>,
    options: &LiveOptions,
    fields: &mut Fields,
    symbols: &KernelSymbols,
    watches_resets: bool,
    rings: RingSize,
) -> Result<Ebpf, LiveError> {
    let (watches_resets, searches_stack) = (u8::from(watches_resets), u8::from(symbols.are_readable()));
    let log_level = if options.kernel_log { aya_log::Level::Debug as u8 } else { 0 };
    if options.namespaces && !fields.has(Field::NetInode) {
        return Err(LiveError::NoNamespaces);
    }
    if options.filter.descendants {
        fields.add_descendants(&Format::of_kernel(&FORK)?, &Format::of_kernel(&FREE)?);
    }
    let mut loader: EbpfLoader<'_> = loader;
    loader.override_global("FIELD_OFFSETS", fields.table(), true);
    loader.override_global("WATCHES_RESETS", &watches_resets, true);
    loader.override_global("SEARCHES_STACK", &searches_stack, true);
    loader.override_global(aya_log::LEVEL, &log_level, true);
    let summaries = u8::from(options.summaries);
    loader.override_global("SUMMARIES", &summaries, true);
    let selection = Selection::of(&options.filter, options.namespaces);
    selection.prepare(&options.filter, &mut loader);
    // Unless sockets are tracked, only listeners have a state.
    let table = TableSize::of(options.summaries || selection.is_active());
    table.prepare(&mut loader);
    rings.prepare(&mut loader);
    let mut ebpf = loader.load(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/probe-kernel")))?;
    select::fill(&options.filter, &mut ebpf)?;
    // Until the reader has found its own report.
    select::pass_all(&mut ebpf, true)?;
    if options.filter.descendants {
        attach_classic(&mut ebpf, "process_forked", &FORK)?;
        attach_classic(&mut ebpf, "process_freed", &FREE)?;
    }
    Ok(ebpf)
}
