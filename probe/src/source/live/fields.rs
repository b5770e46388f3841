//! The offset table with which the programs are loaded.

use probe_ebpf::{Field, UNKNOWN_U32};

use super::{btf::Btf, format::Format};

/// Each field's struct and member in the kernel's types.
const MEMBERS: &[(Field, &str, &str)] = &[
    (Field::Family, "sock", "__sk_common.skc_family"),
    (Field::Protocol, "sock", "sk_protocol"),
    (Field::State, "sock", "__sk_common.skc_state"),
    (Field::LocalV4, "sock", "__sk_common.skc_rcv_saddr"),
    (Field::RemoteV4, "sock", "__sk_common.skc_daddr"),
    (Field::LocalV6, "sock", "__sk_common.skc_v6_rcv_saddr"),
    (Field::RemoteV6, "sock", "__sk_common.skc_v6_daddr"),
    (Field::RemotePort, "sock", "__sk_common.skc_dport"),
    (Field::LocalPort, "inet_sock", "inet_sport"),
    (Field::BoundPort, "sock", "__sk_common.skc_num"),
    (Field::Net, "sock", "__sk_common.skc_net.net"),
    (Field::NetInode, "net", "ns.inum"),
    (Field::Cookie, "sock", "__sk_common.skc_cookie"),
    (Field::Error, "sock", "sk_err"),
    (Field::ErrorSoft, "sock", "sk_err_soft"),
    (Field::Shutdown, "sock", "sk_shutdown"),
    (Field::Disconnects, "sock", "sk_disconnects"),
    (Field::Flags, "sock", "__sk_common.skc_flags"),
    (Field::BoundDevice, "sock", "__sk_common.skc_bound_dev_if"),
    (Field::SocketUser, "sock", "sk_uid.val"),
    (Field::SentQueue, "tcp_sock", "tsorted_sent_queue"),
    (Field::BytesSent, "tcp_sock", "bytes_sent"),
    (Field::BytesRetrans, "tcp_sock", "bytes_retrans"),
    (Field::BytesReceived, "tcp_sock", "bytes_received"),
    (Field::SegsOut, "tcp_sock", "segs_out"),
    (Field::SegsIn, "tcp_sock", "segs_in"),
    (Field::TotalRetrans, "tcp_sock", "total_retrans"),
    (Field::BytesAcked, "tcp_sock", "bytes_acked"),
    (Field::SendUnacked, "tcp_sock", "snd_una"),
    (Field::SendNext, "tcp_sock", "snd_nxt"),
    (Field::WriteSequence, "tcp_sock", "write_seq"),
    (Field::ReceiveNext, "tcp_sock", "rcv_nxt"),
    (Field::ReceiveSpaceStart, "tcp_sock", "rcvq_space.seq"),
    (Field::Linger2, "tcp_sock", "linger2"),
    (Field::IsMptcp, "tcp_sock", "is_mptcp"),
    (Field::SrttUs, "tcp_sock", "srtt_us"),
    (Field::GroupLeader, "task_struct", "group_leader"),
    (Field::Comm, "task_struct", "comm"),
    (Field::ThreadGroup, "task_struct", "tgid"),
    (Field::Credentials, "task_struct", "cred"),
    (Field::User, "cred", "uid.val"),
    (Field::TaskFlags, "task_struct", "flags"),
    (Field::ThreadStatus, "task_struct", "thread_info.status"),
    (Field::SyscallNumber, "pt_regs", SYSCALL_NUMBER),
    (Field::Files, "task_struct", "files"),
    (Field::FileTable, "files_struct", "fdt"),
    (Field::FileTableLength, "fdtable", "max_fds"),
    (Field::FileTableArray, "fdtable", "fd"),
    (Field::FilePrivate, "file", "private_data"),
    (Field::SocketFile, "socket", "file"),
    (Field::SocketType, "socket", "type"),
    (Field::SocketSock, "socket", "sk"),
    (Field::BufferHead, "sk_buff", "head"),
    (Field::NetworkHeader, "sk_buff", "network_header"),
    (Field::TransportHeader, "sk_buff", "transport_header"),
];

/// Each bit field, its mask, and its struct and member in the kernel's types.
const BIT_FIELDS: &[(Field, Field, &str, &str)] = &[
    (Field::ReuseAddr, Field::ReuseAddrMask, "sock_common", "skc_reuse"),
    (Field::ReusePort, Field::ReusePortMask, "sock_common", "skc_reuseport"),
    (Field::V6Only, Field::V6OnlyMask, "sock_common", "skc_ipv6only"),
    (Field::Repair, Field::RepairMask, "tcp_sock", "repair"),
];

/// Fields that need a helper which is newer than the programs' other helpers.
const HELPERS: &[(Field, &str)] =
    &[(Field::SyscallNumber, "BPF_FUNC_task_pt_regs"), (Field::FirstArgument, "BPF_FUNC_task_pt_regs")];

#[cfg(target_arch = "aarch64")]
const SYSCALL_NUMBER: &str = "syscallno";
#[cfg(not(target_arch = "aarch64"))]
const SYSCALL_NUMBER: &str = "orig_ax";

/// The arguments of a system call in `pt_regs`, with the offset in the member. arm64 overwrites the first argument with
/// the result, and keeps a copy.
#[cfg(target_arch = "aarch64")]
const ARGUMENTS: [(&str, u32); 3] = [("orig_x0", 0), ("regs", 8), ("regs", 16)];
#[cfg(not(target_arch = "aarch64"))]
const ARGUMENTS: [(&str, u32); 3] = [("di", 0), ("si", 0), ("dx", 0)];

/// The fields without which the BTF tracepoint's program cannot report anything.
const NEEDED: &[Field] =
    &[Field::Family, Field::Protocol, Field::LocalPort, Field::RemotePort, Field::LocalV4, Field::RemoteV4];

/// Each field's name in the classic tracepoint's record.
const EVENT: &[(Field, &str)] = &[
    (Field::EventSkaddr, "skaddr"),
    (Field::EventOldState, "oldstate"),
    (Field::EventNewState, "newstate"),
    (Field::EventLocalPort, "sport"),
    (Field::EventRemotePort, "dport"),
    (Field::EventFamily, "family"),
    (Field::EventProtocol, "protocol"),
    (Field::EventLocalV4, "saddr"),
    (Field::EventRemoteV4, "daddr"),
    (Field::EventLocalV6, "saddr_v6"),
    (Field::EventRemoteV6, "daddr_v6"),
];

/// Offsets in bytes by [`Field`]; [`UNKNOWN_U32`] for a field that this kernel lacks.
#[derive(Clone)]
pub struct Fields([u32; Field::COUNT]);

impl Fields {
    /// A table without any field.
    pub fn none() -> Self {
        Self([UNKNOWN_U32; Field::COUNT])
    }

    /// Adds the fields in the kernel's types.
    pub fn add_types(&mut self, btf: &Btf) {
        // One lookup for each struct: it searches all types, and takes longer than the lookups of all members.
        for members in MEMBERS.chunk_by(|(_, one, _), (_, next, _)| one == next) {
            let structure = members.first().and_then(|(_, name, _)| btf.structure(name));
            for (field, _, member) in members {
                self.set(*field, structure.and_then(|structure| btf.offset(structure, member)));
            }
        }
        for (field, mask, structure, member) in BIT_FIELDS {
            let found = btf.structure(structure).and_then(|structure| btf.bits(structure, member));
            self.set(*field, found.map(|(byte, _)| byte));
            self.set(*mask, found.map(|(_, mask)| mask));
        }
        let registers = btf.structure("pt_regs");
        let arguments = [Field::FirstArgument, Field::SecondArgument, Field::ThirdArgument];
        for (field, (member, within)) in arguments.into_iter().zip(ARGUMENTS) {
            let offset = registers.and_then(|registers| btf.offset(registers, member));
            self.set(field, offset.map(|offset| offset + within));
        }
        let has_reason = btf.arguments("tcp_send_reset").is_some_and(|arguments| arguments > 2);
        self.set(Field::ResetReason, has_reason.then_some(2));
        for (field, helper) in HELPERS {
            if !btf.enumerates("bpf_func_id", helper) {
                self.remove(*field);
            }
        }
    }

    /// Adds the fields in the classic tracepoint's format.
    pub fn add_event(&mut self, format: &Format) {
        for (field, name) in EVENT {
            self.set(*field, format.field(name).map(|field| field.offset));
        }
        self.set(Field::EventProtocolSize, format.field("protocol").map(|field| field.size));
    }

    /// Adds the fields by which the programs follow descendants: the child of a fork, and the process id that is freed.
    pub fn add_descendants(&mut self, fork: &Format, free: &Format) {
        self.set(Field::ForkChild, fork.field("child_pid").map(|field| field.offset));
        self.set(Field::FreedTask, free.field("pid").map(|field| field.offset));
    }

    /// Adds the field in the format of `sys_exit_bind`.
    pub fn add_bind(&mut self, format: &Format) {
        self.set(Field::BindReturned, format.field("ret").map(|field| field.offset));
    }

    /// Removes a field, so that the verifier drops the code that would read it.
    pub fn remove(&mut self, field: Field) {
        self.0[field as usize] = UNKNOWN_U32;
    }

    fn set(&mut self, field: Field, offset: Option<u32>) {
        self.0[field as usize] = offset.unwrap_or(UNKNOWN_U32);
    }

    /// Whether the table has the field.
    pub fn has(&self, field: Field) -> bool {
        self.0[field as usize] != UNKNOWN_U32
    }

    /// Whether the fields are sufficient for the BTF tracepoint's program.
    pub fn suffice(&self) -> bool {
        NEEDED.iter().all(|field| self.has(*field))
    }

    /// The table in the programs' layout.
    pub fn table(&self) -> &[u32] {
        &self.0
    }

    /// What the reports lack without the missing fields, as phrases for the user.
    pub fn missing(&self) -> Vec<&'static str> {
        let phrases = [
            (Field::NetInode, "network namespaces"),
            (Field::Cookie, "socket cookies"),
            (Field::Error, "the error and the cause of a transition into CLOSE"),
            (Field::Shutdown, "whether close or shutdown ended a connection"),
            (Field::Flags, "whether a socket was orphaned or had received a FIN"),
            (Field::SegsOut, "connection counters"),
            (
                Field::SyscallNumber,
                "the system call behind a transition (needs the BTF tracepoint and Linux 5.15)",
            ),
        ];
        phrases.into_iter().filter(|(field, _)| !self.has(*field)).map(|(_, what)| what).collect()
    }
}
