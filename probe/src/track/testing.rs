//! Reports for tests, as from backend `tp_btf`.

use probe_ebpf::StackFunction;

use crate::model::{
    Counters, Errno, KernelStack, Known, Mono, Opened, Protocol, Report, SocketIdentity, State, Task,
    testing::{endpoints, task},
};

/// A client's transition, in process 100, without an error.
pub fn report(old: State, new: State) -> Report {
    Report {
        at: Mono(1_000),
        cpu: 0,
        socket: 7,
        address: 0xffff_8880_0000_0007,
        cookie: Some(7),
        identity: SocketIdentity::tcp(Some(1), endpoints("127.0.0.1:50000", "127.0.0.1:80")),
        old,
        new,
        error: Some(None),
        shutdown: Some(0),
        orphaned: Some(false),
        fin_received: Some(false),
        rst_received: None,
        owner_matches: None,
        stack: None,
        in_repair: Some(false),
        is_subflow: false,
        task_exits: false,
        synacks: None,
        syscall: None,
        task: Some(task(100, "client")),
        opened: None,
        counters: None,
        final_fields: None,
    }
}

impl Report {
    pub(super) fn at(self, at: u64) -> Self {
        Self { at: Mono(at), ..self }
    }

    /// Of the socket with this cookie.
    pub(super) fn of(self, cookie: u64) -> Self {
        Self { socket: cookie, cookie: Some(cookie), address: 0xffff_8880_0000_0000 | cookie, ..self }
    }

    /// With the `struct sock` at this address.
    pub(super) fn at_address(self, address: u64) -> Self {
        Self { address, ..self }
    }

    pub(super) fn between(self, local: &str, remote: &str) -> Self {
        Self { identity: SocketIdentity { endpoints: endpoints(local, remote), ..self.identity }, ..self }
    }

    pub(super) fn with_protocol(self, protocol: Protocol) -> Self {
        Self { identity: SocketIdentity { protocol, ..self.identity }, ..self }
    }

    pub(super) fn failed(self, errno: Errno) -> Self {
        Self { error: Some(Some(errno)), ..self }
    }

    pub(super) fn shut(self, bits: u8) -> Self {
        Self { shutdown: Some(bits), ..self }
    }

    /// Of a socket that no process has any more.
    pub(super) fn orphaned(self) -> Self {
        Self { orphaned: Some(true), ..self }
    }

    /// After the peer's FIN has arrived.
    pub(super) fn fin(self) -> Self {
        Self { fin_received: Some(true), ..self }
    }

    pub(super) fn in_call(self, number: u32) -> Self {
        Self { syscall: Some(number), ..self }
    }

    /// With these functions on the kernel's stack, the innermost first.
    pub(super) fn on_stack(self, functions: &[StackFunction]) -> Self {
        Self { stack: KernelStack::new(functions), ..self }
    }

    pub(super) fn on(self, task: Task) -> Self {
        Self { task: Some(task), ..self }
    }

    pub(super) fn opened_by(self, task: Task, known: Known, generation: u32) -> Self {
        let opened = Opened { generation, owner: Some(task), known, cgroup: Some(9) };
        Self { opened: Some(opened), ..self }
    }

    pub(super) fn counted(self, segs_out: u32, segs_in: u32) -> Self {
        let counters = Counters {
            bytes_sent: 1,
            bytes_received: 2,
            segs_out,
            synacks: None,
            segs_in,
            retransmits: 0,
            srtt_us: None,
        };
        Self { counters: Some(counters), ..self }
    }
}
