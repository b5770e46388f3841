//! How a filter is handed to the kernel side: which kinds of it are asked for, and where its ports lie.

/// What the filter asks for: bits of the kernel side's constant `ASKED`. The verifier removes the code of those that
/// are not set.
pub struct Asked;

impl Asked {
    /// The owner's process id is one of the map `PIDS`.
    pub const PIDS: u32 = 1 << 0;
    /// The owner's name is one of `COMMS`.
    pub const COMMS: u32 = 1 << 1;
    /// The owner's cgroup, or one that it lies in, is one of `CGROUPS`.
    pub const CGROUPS: u32 = 1 << 2;
    /// One of the ports is in [`PortSet::Either`].
    pub const PORTS: u32 = 1 << 3;
    /// The local port is in [`PortSet::Local`].
    pub const LOCAL_PORTS: u32 = 1 << 4;
    /// The remote port is in [`PortSet::Remote`].
    pub const REMOTE_PORTS: u32 = 1 << 5;
    /// One of the addresses is in a network of `NETWORKS`.
    pub const NETWORKS: u32 = 1 << 6;
    /// The network namespace is one of `NAMESPACES`.
    pub const NAMESPACES: u32 = 1 << 7;
    /// The family is IPv4.
    pub const IPV4: u32 = 1 << 8;
    /// The family is IPv6.
    pub const IPV6: u32 = 1 << 9;
    /// The protocol is TCP.
    pub const TCP: u32 = 1 << 10;
    /// The protocol is MPTCP.
    pub const MPTCP: u32 = 1 << 11;

    /// Those that an owner decides.
    pub const OWNERS: u32 = Self::PIDS | Self::COMMS | Self::CGROUPS;
}

/// One of the sets of ports in the map `PORTS`: a bit for each port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum PortSet {
    /// Local or remote.
    Either,
    /// Local.
    Local,
    /// Remote.
    Remote,
}

/// How many sets there are.
pub const PORT_SETS: u32 = PortSet::Remote as u32 + 1;

/// How many entries of 64 bits a set takes.
pub const PORT_WORDS: u32 = (1 << 16) / 64;

impl PortSet {
    /// The entry of `PORTS` that has this port's bit, and the bit.
    #[must_use]
    #[inline(always)]
    pub const fn bit(self, port: u16) -> (u32, u64) {
        (self as u32 * PORT_WORDS + (port as u32 >> 6), 1 << (port & 63))
    }
}
