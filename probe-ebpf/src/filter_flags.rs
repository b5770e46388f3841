//! How the reader passes the filter to the BPF programs: which criteria are set, and where the port bitmaps are.

/// The filter criteria that are set: bits of the BPF programs' constant `FILTER_FLAGS`. The verifier removes the
/// code of criteria that are not set.
pub struct FilterFlags;

impl FilterFlags {
    /// The owner's process id is in the map `PIDS`.
    pub const PIDS: u32 = 1 << 0;
    /// The owner's name is in `COMMS`.
    pub const COMMS: u32 = 1 << 1;
    /// The owner's cgroup, or one of its ancestors, is in `CGROUPS`.
    pub const CGROUPS: u32 = 1 << 2;
    /// The local or the remote port is in [`PortSet::Either`].
    pub const PORTS: u32 = 1 << 3;
    /// The local port is in [`PortSet::Local`].
    pub const LOCAL_PORTS: u32 = 1 << 4;
    /// The remote port is in [`PortSet::Remote`].
    pub const REMOTE_PORTS: u32 = 1 << 5;
    /// The local or the remote address is in a network of `NETWORKS`.
    pub const NETWORKS: u32 = 1 << 6;
    /// The network namespace is in `NAMESPACES`.
    pub const NAMESPACES: u32 = 1 << 7;
    /// The family is IPv4.
    pub const IPV4: u32 = 1 << 8;
    /// The family is IPv6.
    pub const IPV6: u32 = 1 << 9;
    /// The protocol is TCP.
    pub const TCP: u32 = 1 << 10;
    /// The protocol is MPTCP.
    pub const MPTCP: u32 = 1 << 11;

    /// The criteria that the socket's owner decides.
    pub const OWNERS: u32 = Self::PIDS | Self::COMMS | Self::CGROUPS;
}

/// One of the port bitmaps in the map `PORTS`, with one bit for each port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum PortSet {
    /// Matches the local or the remote port.
    Either,
    /// Matches the local port.
    Local,
    /// Matches the remote port.
    Remote,
}

/// The number of port bitmaps.
pub const PORT_SETS: u32 = PortSet::Remote as u32 + 1;

/// The number of 64-bit entries in one bitmap.
pub const PORT_WORDS: u32 = (1 << 16) / 64;

impl PortSet {
    /// The index of the `PORTS` entry that has this port's bit, and the bit in it.
    #[must_use]
    #[inline(always)]
    pub const fn bit(self, port: u16) -> (u32, u64) {
        (self as u32 * PORT_WORDS + (port as u32 >> 6), 1 << (port & 63))
    }
}
