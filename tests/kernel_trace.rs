//! An independent reference: the kernel's own trace of `sock:inet_sock_set_state` while the tool runs.
//!
//! The text format omits the socket's address, so the raw ring buffer pages are read, whose format tracefs describes
//! in `events/header_page` and `events/header_event`. Times are CLOCK_MONOTONIC's, as the tool's are.
//!
//! [`Trace::with_stacks`] also records the kernel functions that were running at each change, by the event trigger
//! `stacktrace`.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::{fd::AsFd as _, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use nix::{
    libc::O_NONBLOCK,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    time::{ClockId, clock_gettime},
};
use probe::model::State;

use crate::support::PATIENCE;

const EVENT: &str = "events/sock/inet_sock_set_state";

/// Buffer size per CPU: it records the whole host, where other tests open connections at full speed.
const BUFFER_KIB: &str = "16384";

/// The loss counters in each CPU's `stats`.
const LOSSES: [&str; 3] = ["overrun", "commit overrun", "dropped events"];

/// One state change as the kernel recorded it.
#[derive(Clone, Debug)]
pub struct Change {
    /// CLOCK_MONOTONIC
    pub at: u64,
    /// The address of the socket.
    pub skaddr: u64,
    pub is_mptcp: bool,
    pub old: State,
    pub new: State,
    /// Local and remote; a port is 0 once the kernel has cleared it.
    pub ports: [u16; 2],
    pub addresses: [IpAddr; 2],
    pub cpu: u64,
    /// The return addresses in the kernel at the change, the innermost first; empty without [`Trace::with_stacks`].
    pub stack: Vec<u64>,
    /// Whether it was in an interrupt.
    in_interrupt: bool,
    /// The current thread; 0 on an idle CPU.
    thread: u32,
}

impl Change {
    /// Whether it interrupted a thread of pid 1: one kernel build runs no BPF program then
    /// (`probe/src/source/live/misses.rs`).
    pub fn interrupts_first_process(&self) -> bool {
        self.in_interrupt && Path::new(&format!("/proc/1/task/{}", self.thread)).exists()
    }

    /// Whether the same build may leave out its stack: then, and where it interrupted an idle CPU. It has no such limit as a full
    /// buffer or a nested event: other changes in the same interrupt lack theirs as well, and a trace of the same
    /// event with perf lacks the first kind entirely.
    pub fn may_lack_stack(&self) -> bool {
        self.interrupts_first_process() || (self.in_interrupt && self.thread == 0)
    }
}

/// Prefix of the instances' names; the process id follows.
const NAME: &str = "probe-test-";

/// A tracefs instance that records every state change on the host. Dropping it removes the instance.
pub struct Trace {
    instance: PathBuf,
    layout: Layout,
    /// The raw pages of each CPU.
    pages: Vec<Pages>,
    changes: Vec<Change>,
}

/// The raw pages of a CPU.
struct Pages {
    cpu: u64,
    file: File,
    /// Changes whose stacks have not been read yet, `None` for those of other protocols, each with where it happened. The
    /// kernel writes a stack after its change, and the changes of an interrupt with their stacks in between. It leaves out
    /// some stacks.
    without_stack: Vec<(Context, Option<Change>)>,
}

/// Where an event happened: a change and its stack have the same.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Context {
    thread: u32,
    /// Of `common_flags`: in a softirq, in a hard interrupt.
    interrupt: u8,
}

impl Context {
    /// That of an event, whose first fields are the same in all: type, flags, preempt count, thread.
    fn of(event: &[u8]) -> Self {
        const INTERRUPT: u8 = 0x18;
        Self { thread: u32::from_ne_bytes(bytes(event, 4)), interrupt: event[2] & INTERRUPT }
    }
}

impl Trace {
    /// Starts recording.
    pub fn begin() -> Self {
        Self::begin_with(false)
    }

    /// Starts recording, with the kernel's stack at each change.
    pub fn with_stacks() -> Self {
        Self::begin_with(true)
    }

    fn begin_with(stacks: bool) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let tracefs = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"].into_iter().map(Path::new);
        let tracefs =
            tracefs.into_iter().find(|place| place.join(EVENT).is_dir()).expect("tracefs is mounted");
        let instances = tracefs.join("instances");
        remove_orphans(&instances);
        let name = format!("{NAME}{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let instance = instances.join(name);
        fs::create_dir(&instance).unwrap();
        let layout = Layout::read(tracefs, stacks);
        let mut trace = Self { instance, layout, pages: Vec::new(), changes: Vec::new() };
        trace.pages = trace.cpus().map(|cpu| Pages::open(&cpu)).collect();
        trace.set("trace_clock", "mono");
        trace.set("buffer_size_kb", BUFFER_KIB);
        // The first event in a page wakes the waiting reader.
        trace.set("buffer_percent", "0");
        if stacks {
            trace.set(&format!("{EVENT}/trigger"), "stacktrace");
        }
        trace.set(&format!("{EVENT}/enable"), "1");
        trace
    }

    fn cpus(&self) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(self.instance.join("per_cpu")).unwrap();
        entries.map(|entry| entry.unwrap().path())
    }

    fn set(&self, file: &str, value: &str) {
        fs::write(self.instance.join(file), value).unwrap();
    }

    /// Waits until the recorded changes satisfy `enough`; `None` if the host made more of them than the buffer holds.
    #[track_caller]
    pub fn wait(&mut self, what: &str, enough: impl Fn(&[Change]) -> bool) -> Option<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.read();
            if enough(&self.changes) {
                return Some(());
            }
            if !self.is_whole() {
                return None;
            }
            assert!(Instant::now() < deadline, "the kernel recorded no {what}");
            let mut pages: Vec<_> =
                self.pages.iter().map(|pages| PollFd::new(pages.file.as_fd(), PollFlags::POLLIN)).collect();
            // A change without a stack shows after a while, and not with another event.
            poll(&mut pages, PollTimeout::from(100_u8)).unwrap();
        }
    }

    /// All recorded changes in time order; `None` if the host made more of them than
    /// the buffer holds.
    pub fn end(mut self) -> Option<Vec<Change>> {
        self.set("tracing_on", "0");
        let is_whole = self.is_whole();
        self.read();
        self.release(u64::MAX);
        is_whole.then(|| std::mem::take(&mut self.changes))
    }

    /// Whether no change was lost so far.
    fn is_whole(&self) -> bool {
        self.cpus().all(|cpu| {
            let stats = fs::read_to_string(cpu.join("stats")).unwrap();
            LOSSES.iter().all(|loss| stats.lines().any(|line| line == format!("{loss}: 0")))
        })
    }

    fn read(&mut self) {
        // Larger than any ring buffer page; each read returns one page.
        let mut page = vec![0; 1 << 16];
        for pages in &mut self.pages {
            loop {
                match pages.file.read(&mut page) {
                    Ok(0) => break,
                    Ok(length) => self.layout.changes_of(&page[..length], pages, &mut self.changes),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{:?}: {error}", pages.file),
                }
            }
        }
        /// Longer than the kernel takes to write a stack.
        const LATE: u64 = 100_000_000;
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
        let now = u64::try_from(Duration::from(now).as_nanos()).unwrap();
        self.release(now.saturating_sub(LATE));
    }

    /// Adds the changes before this time whose stacks the kernel has not written: those that
    /// [may lack one](Change::may_lack_stack).
    fn release(&mut self, before: u64) {
        for pages in &mut self.pages {
            let is_late = |(_, change): &mut (Context, Option<Change>)| {
                change.as_ref().is_some_and(|one| one.at < before)
            };
            let late = pages.without_stack.extract_if(.., is_late);
            self.changes.extend(late.filter_map(|(_, change)| change));
        }
        self.changes.sort_by_key(|change| change.at);
    }
}

impl Pages {
    /// Opens those of a CPU's directory in the instance, such as `per_cpu/cpu0`.
    fn open(directory: &Path) -> Self {
        let name = directory.file_name().unwrap().to_str().unwrap();
        let path = directory.join("trace_pipe_raw");
        Self {
            cpu: name.trim_start_matches("cpu").parse().unwrap(),
            file: File::options().read(true).custom_flags(O_NONBLOCK).open(path).unwrap(),
            without_stack: Vec::new(),
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // An open file keeps the instance alive.
        self.pages.clear();
        // A leftover instance is removed by the next test (`remove_orphans`).
        let _ = fs::remove_dir(&self.instance);
    }
}

/// Removes instances of killed tests: they would go on recording and slow every transition.
fn remove_orphans(instances: &Path) {
    for instance in fs::read_dir(instances).unwrap().flatten() {
        let name = instance.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(NAME).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists()) {
            // A concurrent test may have removed it.
            let _ = fs::remove_dir(instance.path());
        }
    }
}

/// The field offsets of the event.
struct Layout {
    id: u16,
    fields: Vec<(String, usize)>,
    /// The type of stacks, where they are recorded. Their fields are a number of addresses and the addresses.
    stacks: Option<u16>,
}

/// The event of a stack. It is in no directory with a file `id`.
const STACK: &str = "events/ftrace/kernel_stack/format";

impl Layout {
    fn read(tracefs: &Path, stacks: bool) -> Self {
        let id = |format: &str| {
            let id =
                format.lines().find_map(|line| line.strip_prefix("ID: ")).expect("an event has a number");
            id.parse().unwrap()
        };
        let text = fs::read_to_string(tracefs.join(EVENT).join("format")).unwrap();
        let field = |line: &str| {
            let (declaration, rest) = line.trim().strip_prefix("field:")?.split_once(';')?;
            let name = declaration.split(['[', ']']).next()?.split_whitespace().last()?;
            let offset = rest.trim().strip_prefix("offset:")?.split(';').next()?;
            Some((name.to_owned(), offset.parse().ok()?))
        };
        let stacks = stacks.then(|| id(&fs::read_to_string(tracefs.join(STACK)).unwrap()));
        Self { id: id(&text), fields: text.lines().filter_map(field).collect(), stacks }
    }

    fn at(&self, name: &str) -> usize {
        let field = self.fields.iter().find(|(field, _)| field == name);
        field.unwrap_or_else(|| panic!("the event has no field {name}")).1
    }

    /// Parses a page: time stamp, length of the data, events.
    fn changes_of(&self, page: &[u8], pages: &mut Pages, changes: &mut Vec<Change>) {
        /// The upper bits flag lost events.
        const LENGTH: u64 = (1 << 20) - 1;
        const PADDING: u32 = 29;
        const TIME_EXTEND: u32 = 30;
        const TIME_STAMP: u32 = 31;

        let mut time = u64::from_ne_bytes(bytes(page, 0));
        let length = (u64::from_ne_bytes(bytes(page, 8)) & LENGTH) as usize;
        let mut rest = &page[16..16 + length];
        while !rest.is_empty() {
            let header = u32::from_ne_bytes(bytes(rest, 0));
            let (kind, delta) = (header & 0x1f, u64::from(header >> 5));
            let word = || u32::from_ne_bytes(bytes(rest, 4));
            let (event, size) = match kind {
                PADDING if delta == 0 => break,
                0 => (&rest[8..], 4 + word() as usize),
                PADDING => (&rest[..0], 4 + word() as usize),
                TIME_EXTEND | TIME_STAMP => (&rest[..0], 8),
                words => (&rest[4..], 4 + 4 * words as usize),
            };
            match kind {
                TIME_EXTEND => time += delta + (u64::from(word()) << 27),
                // An event written during an interrupt carries an absolute time stamp (rb_add_time_stamp in kernel/trace/ring_buffer.c).
                TIME_STAMP => time = delta + (u64::from(word()) << 27),
                _ => time += delta,
            }
            let kind = (event.len() >= 2).then(|| u16::from_ne_bytes(bytes(event, 0)));
            if kind == Some(self.id) {
                let change = self.change(time, pages.cpu, event);
                match self.stacks {
                    Some(_) => pages.without_stack.push((Context::of(event), change)),
                    None => changes.extend(change),
                }
            } else if kind.is_some() && kind == self.stacks {
                let context = Context::of(event);
                let waiting = &mut pages.without_stack;
                let its = waiting.iter().rposition(|(of_change, _)| *of_change == context);
                let change = its.and_then(|its| waiting.remove(its).1);
                changes.extend(change.map(|change| Change { stack: stack(event), ..change }));
            }
            rest = &rest[size..];
        }
    }

    /// `None` for other protocols (SCTP).
    fn change(&self, at: u64, cpu: u64, event: &[u8]) -> Option<Change> {
        const SCTP: u16 = 132;
        const MPTCP: u16 = 262;
        const AF_INET: u16 = 2;
        let short = |name| u16::from_ne_bytes(bytes(event, self.at(name)));
        let state = |name| {
            let number = i32::from_ne_bytes(bytes(event, self.at(name)));
            State::from_kernel(number.try_into().ok()?)
        };
        let address = |v4, v6| -> IpAddr {
            if short("family") == AF_INET {
                Ipv4Addr::from(bytes(event, self.at(v4))).into()
            } else {
                Ipv6Addr::from(bytes(event, self.at(v6))).into()
            }
        };
        // One byte before Linux 5.6, followed by the first byte of an address.
        (short("protocol") != SCTP).then_some(Change {
            at,
            is_mptcp: short("protocol") == MPTCP,
            skaddr: u64::from_ne_bytes(bytes(event, self.at("skaddr"))),
            old: state("oldstate")?,
            new: state("newstate")?,
            ports: [short("sport"), short("dport")],
            addresses: [address("saddr", "saddr_v6"), address("daddr", "daddr_v6")],
            in_interrupt: Context::of(event).interrupt != 0,
            thread: Context::of(event).thread,
            cpu,
            stack: Vec::new(),
        })
    }
}

/// The addresses of a stack.
fn stack(event: &[u8]) -> Vec<u64> {
    const SIZE: usize = 8;
    const FIRST: usize = 16;
    let count = u32::from_ne_bytes(bytes(event, SIZE)) as usize;
    (0..count).map(|index| u64::from_ne_bytes(bytes(event, FIRST + 8 * index))).collect()
}

fn bytes<const N: usize>(from: &[u8], at: usize) -> [u8; N] {
    from[at..at + N].try_into().expect("N bytes are N bytes")
}
