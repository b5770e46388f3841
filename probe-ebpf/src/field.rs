//! The kernel fields that the BPF programs read.
//!
//! rustc emits no CO-RE relocations. So the reader looks up every offset, in the running kernel's BTF or in the
//! tracepoint's format file, and sets the table as a constant before it loads the programs. The entry of a field that this
//! kernel lacks is [`UNKNOWN_U32`](crate::UNKNOWN_U32), and the verifier removes the code that would read it.

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
    /// `sock_common.skc_rcv_saddr`: the local IPv4 address
    LocalV4,
    /// `sock_common.skc_daddr`
    RemoteV4,
    /// `sock_common.skc_v6_rcv_saddr`
    LocalV6,
    /// `sock_common.skc_v6_daddr`
    RemoteV6,
    /// `sock_common.skc_dport`
    RemotePort,
    /// `inet_sock.inet_sport`: keeps the port longer than `skc_num`
    LocalPort,
    /// `sock_common.skc_num`, in host order: 0 once the port is released
    BoundPort,
    /// `sock_common.skc_net`: a pointer to `struct net`
    Net,
    /// `net.ns.inum`
    NetInode,
    /// `sock_common.skc_cookie`
    Cookie,
    /// `sock.sk_err`
    Error,
    /// `sock.sk_err_soft`
    ErrorSoft,
    /// `sock.sk_shutdown`
    Shutdown,
    /// `sock.sk_disconnects`: how many times connect(2) has dissolved a connection, since Linux 6.6
    Disconnects,
    /// `sock_common.skc_flags`
    Flags,
    /// `sock_common.skc_bound_dev_if`: the index of the device that the socket is bound to, 0 for none
    BoundDevice,
    /// `sock.sk_uid`: the user id of the socket's creator
    SocketUser,
    /// The byte of `sock_common.skc_reuse`, a bit field
    ReuseAddr,
    /// The mask of its bits in that byte
    ReuseAddrMask,
    /// The byte of `sock_common.skc_reuseport`, a bit field
    ReusePort,
    /// The mask of the bit in that byte
    ReusePortMask,
    /// The byte of `sock_common.skc_ipv6only`, a bit field
    V6Only,
    /// The mask of the bit in that byte
    V6OnlyMask,
    /// `tcp_sock.tsorted_sent_queue`: the list of sent and unacknowledged segments, whose head points to itself while it is
    /// empty
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
    /// `tcp_sock.bytes_acked`
    BytesAcked,
    /// `tcp_sock.snd_una`: the first sequence number that is not acknowledged
    SendUnacked,
    /// `tcp_sock.snd_nxt`: the next sequence number to send
    SendNext,
    /// `tcp_sock.write_seq`: the sequence number behind everything that is queued
    WriteSequence,
    /// `tcp_sock.rcv_nxt`: the next sequence number to receive
    ReceiveNext,
    /// `tcp_sock.rcvq_space.seq`: the first sequence number to receive, until the kernel adapts the receive buffer
    ReceiveSpaceStart,
    /// `tcp_sock.linger2`: TCP_LINGER2 in ticks
    Linger2,
    /// The byte of `tcp_sock.repair`, a bit field
    Repair,
    /// The mask of the bit in that byte
    RepairMask,
    /// `tcp_sock.is_mptcp`
    IsMptcp,
    /// `tcp_sock.srtt_us`: eight times the smoothed round-trip time
    SrttUs,
    /// `task_struct.group_leader`
    GroupLeader,
    /// `task_struct.comm`
    Comm,
    /// `task_struct.tgid`: the process id
    ThreadGroup,
    /// `task_struct.cred`: a pointer to `struct cred`
    Credentials,
    /// `cred.uid`, in the initial user namespace
    User,
    /// `task_struct.flags`
    TaskFlags,
    /// `task_struct.thread_info.status` (x86): whether the task is in a 32-bit system call, whose numbers differ
    ThreadStatus,
    /// The system call's number in `pt_regs`: `orig_ax`, or `syscallno` on arm64
    SyscallNumber,
    /// The system call's first argument in `pt_regs`: `di`, or `orig_x0` on arm64
    FirstArgument,
    /// Its second argument
    SecondArgument,
    /// Its third argument
    ThirdArgument,
    /// `task_struct.files`: a pointer to `struct files_struct`
    Files,
    /// `files_struct.fdt`: a pointer to `struct fdtable`
    FileTable,
    /// `fdtable.max_fds`
    FileTableLength,
    /// `fdtable.fd`: a pointer to an array of pointers to `struct file`
    FileTableArray,
    /// `file.private_data`: in a socket's file, a pointer to its `struct socket`
    FilePrivate,
    /// `socket.file`: the file that the socket belongs to
    SocketFile,
    /// `socket.type`
    SocketType,
    /// `socket.sk`: a pointer to `struct sock`
    SocketSock,
    /// `sk_buff.head`: a pointer to the start of the buffer
    BufferHead,
    /// `sk_buff.network_header`: the IP header's offset in the buffer
    NetworkHeader,
    /// `sk_buff.transport_header`: the TCP header's offset in the buffer
    TransportHeader,
    /// The index of the argument `reason` of the tracepoint `tcp_send_reset`: 2, since Linux 6.10
    ResetReason,
    /// The `ret` of `sys_exit_bind`
    BindReturned,
    /// The classic tracepoint's `skaddr`
    EventSkaddr,
    /// The classic tracepoint's `oldstate`
    EventOldState,
    /// The classic tracepoint's `newstate`
    EventNewState,
    /// The classic tracepoint's `sport`, in host order
    EventLocalPort,
    /// The classic tracepoint's `dport`, in host order
    EventRemotePort,
    /// The classic tracepoint's `family`
    EventFamily,
    /// The classic tracepoint's `protocol`
    EventProtocol,
    /// The size of `protocol` in bytes: one before Linux 5.6, two since
    EventProtocolSize,
    /// The classic tracepoint's `saddr`
    EventLocalV4,
    /// The classic tracepoint's `daddr`
    EventRemoteV4,
    /// The classic tracepoint's `saddr_v6`
    EventLocalV6,
    /// The classic tracepoint's `daddr_v6`
    EventRemoteV6,
    /// `sched:sched_process_fork`'s `child_pid`
    ForkChild,
    /// `sched:sched_process_free`'s `pid`
    FreedTask,
}

impl Field {
    /// The number of entries in the table.
    pub const COUNT: usize = Self::FreedTask as usize + 1;
}
