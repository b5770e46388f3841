//! Loading the programs, the best that this kernel takes.

use std::{iter, thread};

use aya::{Ebpf, EbpfError, EbpfLoader, Endianness};
use log::{debug, info};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use probe_ebpf::Field;

use super::{
    attach::{Typed, attach_btf, attach_classic, load_ahead},
    binds::Binds,
    btf::Btf,
    error::{LiveError, is_permission},
    fields::Fields,
    format::{FORK, FREE, Format, FormatError, TRANSITION},
    loader, misses,
    resets::{self, Resets},
    ring::RingSize,
    select::{self, Selection},
    table,
};
use crate::{
    model::{Backend, Filter, Host},
    net::host,
    os::{kernel, memory},
    source::decode::Reasons,
};

/// The program on the BTF tracepoint.
const TYPED: &str = "transition_btf";

/// The first kernel that takes it: `bpf_get_socket_cookie` in tracing programs (c5dbb89fc2ac).
const OLDEST_TYPED: [u32; 2] = [5, 12];

/// The one that takes what the kernel passes over that for.
const NESTED: &str = "transition_nested";

/// Both, in the order in which they have to run.
const TRANSITIONS: [Typed; 2] = [(NESTED, TRANSITION.name), (TYPED, TRANSITION.name)];

/// The program on the classic one.
const CLASSIC: &str = "transition_classic";

/// The program that reports transitions.
pub fn transition(backend: Backend) -> &'static str {
    match backend {
        Backend::TpBtf => TYPED,
        Backend::Tracepoint => CLASSIC,
    }
}

/// How to trace.
#[derive(Clone, Debug, Default)]
pub struct LiveOptions {
    /// Which tracepoint; `None` takes the better one that works.
    pub backend: Option<Backend>,
    /// The size of all rings together; `None` is the program's own.
    pub ring_bytes: Option<u32>,
    /// Leaves the kernel's type information aside, as on a host that has none.
    pub without_btf: bool,
    /// Which sockets are wanted; what the kernel cannot decide passes.
    pub filter: Filter,
    /// Whether the reports of those namespaces alone are wanted that are named while it runs, by
    /// [`Live::namespaces`](super::Live::namespaces).
    pub namespaces: bool,
    /// Whether one [`Summary`](crate::model::Summary) for each finished connection is wanted in place of its reports.
    pub summaries: bool,
    /// Whether the kernel side says what it does. Off, the verifier drops the code that would.
    pub kernel_log: bool,
    /// Whether failed calls of bind(2) are reported. It costs every system call of the host some
    /// nanoseconds: one traced call sends all of them the slow way out of the kernel.
    pub binds: bool,
    /// Whether resets are reported: those that are sent, and whether one had come before a transition
    /// into CLOSE.
    pub resets: bool,
}

/// The programs, attached.
pub struct Loaded {
    /// Keeps them attached.
    pub ebpf: Ebpf,
    /// Which of them.
    pub backend: Backend,
    /// What the reports will lack.
    pub unavailable: Vec<String>,
    /// The names of the reasons for resets.
    pub reasons: Reasons,
    /// How large the rings are.
    pub rings: RingSize,
}

/// Attaches the best program that this kernel takes.
pub fn load(options: &LiveOptions) -> Result<Loaded, LiveError> {
    // Needed before Linux 5.11 alone, and refused without CAP_SYS_RESOURCE: no reason to stop.
    if let Err(error) = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY) {
        debug!("RLIMIT_MEMLOCK stays: {error}");
    }
    let rings = RingSize::of(options.ring_bytes).map_err(LiveError::Ring)?;
    let loaded = match options.backend {
        Some(Backend::TpBtf) => load_btf(options, rings),
        Some(Backend::Tracepoint) => load_classic(options, rings, None),
        None => load_btf(options, rings).or_else(|error| {
            if is_permission(&error) {
                return Err(error);
            }
            info!("no BTF tracepoint: {error}");
            load_classic(options, rings, Some(&error))
                .map_err(|classic| LiveError::Backends(format!("{error}; and the fallback: {classic}")))
        }),
    };
    memory::trim();
    loaded.map_err(|error| match error {
        LiveError::Format(FormatError::NotPermitted) => LiveError::NoPrivilege,
        error if is_permission(&error) => LiveError::NoPrivilege,
        error => error,
    })
}

fn load_btf(options: &LiveOptions, rings: RingSize) -> Result<Loaded, LiveError> {
    let btf = types_of_kernel(options)?;
    let mut fields = Fields::none();
    fields.add_types(&btf);
    if !fields.suffice() {
        return Err(LiveError::NoFields);
    }
    let binds = Binds::prepare(options, &mut fields);
    let mut resets = Resets::prepare(options, &btf);
    let loader = typed_loader();
    // Attaching goes by what loading does without.
    let types = thread::spawn(move || types_of_tracepoints(btf));
    let loaded = load_object(loader, options, &mut fields, resets.watched(), rings);
    let types = types.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let mut ebpf = loaded?;
    let programs: Vec<_> = TRANSITIONS.into_iter().chain(resets.programs()).collect();
    load_ahead(&mut ebpf, &programs, binds.program(), &types);
    if !resets.watch(&mut ebpf, &types) {
        // The programs take every RST to be marked: they have to be told otherwise.
        ebpf = load_object(typed_loader(), options, &mut fields, resets.watched(), rings)?;
    }
    // The kernel runs them in the order in which they come (`tracepoint_add_func`).
    TRANSITIONS.into_iter().try_for_each(|program| attach_btf(&mut ebpf, program, &types)).map_err(
        |error| {
            debug!("{error}");
            let Host { kernel, .. } = host::facts();
            let is_old = kernel::version(&kernel).is_some_and(|version| version < OLDEST_TYPED);
            if is_old && !is_permission(&error) { LiveError::TooOld(kernel) } else { error }
        },
    )?;
    resets.report(&mut ebpf, &types);
    let (reasons, resets_off) = resets.finish();
    let unavailable =
        missing(&fields, &[]).into_iter().chain(resets_off).chain(binds.attach(&mut ebpf)).collect();
    Ok(Loaded { ebpf, backend: Backend::TpBtf, unavailable, reasons, rings })
}

/// A loader for the programs on the BTF tracepoint. They remember nothing by a socket's address: to make room for that would take
/// some milliseconds, and ten megabytes.
fn typed_loader() -> EbpfLoader<'static> {
    let mut loader = loader::new();
    loader.map_max_entries("ADDRESS_STATES", 1);
    loader
}

/// What the tracepoints are found by. The kernel's types are some megabytes, and not needed any more after this.
fn types_of_tracepoints(btf: Btf) -> Result<aya::Btf, LiveError> {
    aya::Btf::parse(&btf.tracepoints(), Endianness::default())
        .map_err(|error| LiveError::Object(EbpfError::BtfError(error)))
}

/// `instead_of` is why the better backend failed.
fn load_classic(
    options: &LiveOptions,
    rings: RingSize,
    instead_of: Option<&LiveError>,
) -> Result<Loaded, LiveError> {
    // Type information is welcome here but not needed.
    let mut fields = Fields::none();
    match types_of_kernel(options) {
        Ok(btf) => fields.add_types(&btf),
        Err(error) => debug!("without type information: {error}"),
    }
    fields.add_event(&Format::of_kernel(&TRANSITION)?);
    // The helper behind it is newer than this backend's kernels.
    fields.forget(Field::SyscallNumber);
    let why = instead_of.map(|error| format!("the classic tracepoint stands in for the BTF one: {error}"));
    let by_port = "owners of accepted sockets, where more than one process listens on the port";
    let uncounted = misses::unknown_on_classic(&host::facts().kernel);
    let more: Vec<_> = iter::once(by_port).chain(uncounted).collect();
    let mut unavailable: Vec<_> = why.into_iter().chain(missing(&fields, &more)).collect();
    unavailable.extend(options.resets.then(|| resets::NOT_CLASSIC.to_owned()));
    let binds = Binds::prepare(options, &mut fields);
    let mut ebpf = load_object(loader::new(), options, &mut fields, false, rings)?;
    attach_classic(&mut ebpf, CLASSIC, &TRANSITION)?;
    unavailable.extend(binds.attach(&mut ebpf));
    Ok(Loaded { ebpf, backend: Backend::Tracepoint, unavailable, reasons: Reasons::default(), rings })
}

/// What the reports will lack, in one line.
fn missing(fields: &Fields, more: &[&'static str]) -> Option<String> {
    let lacks: Vec<_> = fields.lacks().into_iter().chain(more.iter().copied()).collect();
    (!lacks.is_empty()).then(|| format!("not known here: {}", lacks.join("; ")))
}

fn types_of_kernel(options: &LiveOptions) -> Result<Btf, LiveError> {
    if options.without_btf {
        return Err(LiveError::LeftAside);
    }
    Ok(Btf::of_kernel()?)
}

/// Loads the object, with everything attached that both backends need. `watches_resets` says whether every RST
/// that comes is marked in its socket's storage.
fn load_object(
    loader: EbpfLoader<'static>,
    options: &LiveOptions,
    fields: &mut Fields,
    watches_resets: bool,
    rings: RingSize,
) -> Result<Ebpf, LiveError> {
    let watches_resets = u8::from(watches_resets);
    let log_level = if options.kernel_log { aya_log::Level::Debug as u8 } else { 0 };
    if options.namespaces && !fields.has(Field::NetInode) {
        return Err(LiveError::NoNamespaces);
    }
    if options.filter.descendants {
        fields.add_descent(&Format::of_kernel(&FORK)?, &Format::of_kernel(&FREE)?);
    }
    let mut loader: EbpfLoader<'_> = loader;
    loader.override_global("FIELD_OFFSETS", fields.table(), true);
    loader.override_global("WATCHES_RESETS", &watches_resets, true);
    loader.override_global(aya_log::LEVEL, &log_level, true);
    let summaries = u8::from(options.summaries);
    loader.override_global("SUMMARIES", &summaries, true);
    let selection = Selection::of(&options.filter, options.namespaces);
    selection.prepare(&options.filter, &mut loader);
    // Of what nobody asks to follow, listeners alone are remembered.
    let table = table::Size::of(options.summaries || selection.is_active());
    table.prepare(&mut loader);
    rings.prepare(&mut loader);
    let mut ebpf = loader.load(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/probe-kernel")))?;
    select::fill(&options.filter, &mut ebpf)?;
    // Until the reader has found itself.
    select::open(&mut ebpf, true)?;
    if options.filter.descendants {
        attach_classic(&mut ebpf, "process_forked", &FORK)?;
        attach_classic(&mut ebpf, "process_freed", &FREE)?;
    }
    Ok(ebpf)
}
