//! Where the fields lie that the kernel side reads.
//!
//! rustc emits no CO-RE relocations, so the reader looks every offset up, in the running kernel's BTF
//! or in the tracepoint's format file, and hands the table over as a constant before the programs are
//! loaded. A field that this kernel lacks holds [`UNKNOWN_U32`](crate::UNKNOWN_U32), and the verifier
//! removes the code that would have read it.

/// An entry of the offset table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Field {
    /// `sock_common.skc_family`
    Family,
    /// `sock.sk_protocol`
    Protocol,
    /// `sock_common.skc_state`
    State,
    /// `sock_common.skc_rcv_saddr`: the IPv4 address bound to
    LocalV4,
    /// `sock_common.skc_daddr`
    RemoteV4,
    /// `sock_common.skc_v6_rcv_saddr`
    LocalV6,
    /// `sock_common.skc_v6_daddr`
    RemoteV6,
    /// `sock_common.skc_dport`
    RemotePort,
    /// `inet_sock.inet_sport`: holds the port longer than `skc_num` does
    LocalPort,
    /// `sock_common.skc_num`, in host order: 0 as soon as the port is given back
    BoundPort,
    /// `sock_common.skc_net`: a pointer to `struct net`
    Net,
    /// `net.ns.inum`
    NetInode,
    /// `sock_common.skc_cookie`
    Cookie,
    /// `sock.sk_err`
    Error,
    /// `sock.sk_shutdown`
    Shutdown,
    /// `sock.sk_disconnects`: how often a call of connect(2) has ended what was there before, since Linux 6.6
    Disconnects,
    /// `sock_common.skc_flags`
    Flags,
    /// `tcp_sock.tsorted_sent_queue`: a list of what is sent and not acknowledged, whose head points to itself where nothing is
    SentQueue,
    /// `tcp_sock.bytes_sent`
    BytesSent,
    /// `tcp_sock.bytes_retrans`
    BytesRetrans,
    /// `tcp_sock.bytes_received`
    BytesReceived,
    /// `tcp_sock.segs_out`
    SegsOut,
    /// `tcp_sock.segs_in`
    SegsIn,
    /// `tcp_sock.total_retrans`
    TotalRetrans,
    /// `tcp_sock.srtt_us`: eight times the smoothed round-trip time
    SrttUs,
    /// `task_struct.group_leader`
    GroupLeader,
    /// `task_struct.comm`
    Comm,
    /// `task_struct.tgid`: the process
    ThreadGroup,
    /// `task_struct.cred`: a pointer to `struct cred`
    Credentials,
    /// `cred.uid`, in the initial user namespace
    User,
    /// `task_struct.flags`
    TaskFlags,
    /// `task_struct.thread_info.status` (x86): whether the system call is of the 32-bit kind, numbered otherwise
    ThreadStatus,
    /// The system call's number in `pt_regs`: `orig_ax`, or `syscallno` on arm64
    SyscallNumber,
    /// The system call's first argument in `pt_regs`: `di`, or `orig_x0` on arm64
    FirstArgument,
    /// Its second one
    SecondArgument,
    /// Its third one
    ThirdArgument,
    /// `task_struct.files`: a pointer to `struct files_struct`
    Files,
    /// `files_struct.fdt`: a pointer to `struct fdtable`
    FileTable,
    /// `fdtable.max_fds`
    FileTableLength,
    /// `fdtable.fd`: a pointer to an array of pointers to `struct file`
    FileTableArray,
    /// `file.private_data`: of a socket's file, a pointer to its `struct socket`
    FilePrivate,
    /// `socket.file`: the file that the socket belongs to
    SocketFile,
    /// `socket.type`
    SocketType,
    /// `socket.sk`: a pointer to `struct sock`
    SocketSock,
    /// Which argument of the tracepoint `tcp_send_reset` is its `reason`: 2, since Linux 6.10
    ResetReason,
    /// The `ret` of `sys_exit_bind`
    BindReturned,
    /// The classic tracepoint's `skaddr`
    EventSkaddr,
    /// Its `oldstate`
    EventOldState,
    /// Its `newstate`
    EventNewState,
    /// Its `sport`, in host order
    EventLocalPort,
    /// Its `dport`, in host order
    EventRemotePort,
    /// Its `family`
    EventFamily,
    /// Its `protocol`
    EventProtocol,
    /// The size of its `protocol`: one byte before Linux 5.6, two since
    EventProtocolSize,
    /// Its `saddr`
    EventLocalV4,
    /// Its `daddr`
    EventRemoteV4,
    /// Its `saddr_v6`
    EventLocalV6,
    /// Its `daddr_v6`
    EventRemoteV6,
    /// `sched:sched_process_fork`'s `child_pid`
    ForkChild,
    /// `sched:sched_process_free`'s `pid`
    FreedTask,
}

impl Field {
    /// The length of the table.
    pub const COUNT: usize = Self::FreedTask as usize + 1;
}
