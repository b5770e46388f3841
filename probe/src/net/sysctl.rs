//! Typed access to the sysctls under `net.ipv4` of the calling thread's namespace.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    marker::PhantomData,
};

use nix::libc;

use crate::model::PortRange;

/// `ip_local_port_range`: the ephemeral ports, from which connect(2) and bind(2) to port 0 choose.
pub const IP_LOCAL_PORT_RANGE: Sysctl<PortRange> = Sysctl::named("ip_local_port_range");
/// `ip_local_reserved_ports`: ephemeral ports that the kernel never chooses.
pub const IP_LOCAL_RESERVED_PORTS: Sysctl<Vec<PortRange>> = Sysctl::named("ip_local_reserved_ports");
/// `ip_unprivileged_port_start`: the lowest port that can be bound without CAP_NET_BIND_SERVICE.
pub const IP_UNPRIVILEGED_PORT_START: Sysctl<u16> = Sysctl::named("ip_unprivileged_port_start");
/// `tcp_abort_on_overflow`: whether a handshake's final ACK is answered with a RST when the accept queue is full.
pub const TCP_ABORT_ON_OVERFLOW: Sysctl<bool> = Sysctl::named("tcp_abort_on_overflow");
/// `tcp_fastopen`: TCP Fast Open as a bit mask: 1 client, 2 server, 4 client without a cookie, 0x200 server without a
/// cookie.
pub const TCP_FASTOPEN: Sysctl<u16> = Sysctl::named("tcp_fastopen");
/// `tcp_fin_timeout`: how many seconds an orphan stays in FIN_WAIT2.
pub const TCP_FIN_TIMEOUT: Sysctl<u16> = Sysctl::named("tcp_fin_timeout");
/// `tcp_migrate_req`: whether a closing listener's queue migrates to another listener of its SO_REUSEPORT group; since
/// Linux 5.14.
pub const TCP_MIGRATE_REQ: Sysctl<bool> = Sysctl::named("tcp_migrate_req");
/// `tcp_orphan_retries`: retransmissions of an orphan's FIN before the kernel gives up.
pub const TCP_ORPHAN_RETRIES: Sysctl<u16> = Sysctl::named("tcp_orphan_retries");
/// `tcp_retries2`: retransmissions of data before the connection times out.
pub const TCP_RETRIES2: Sysctl<u16> = Sysctl::named("tcp_retries2");
/// `tcp_rfc1337`: whether a TIME_WAIT socket ignores RSTs.
pub const TCP_RFC1337: Sysctl<bool> = Sysctl::named("tcp_rfc1337");
/// `tcp_simult_connect`: whether a SYN in SYN_SENT opens the connection. Only linux-hardened has this sysctl; other
/// kernels always allow it.
pub const TCP_SIMULT_CONNECT: Sysctl<bool> = Sysctl::named("tcp_simult_connect");
/// `tcp_synack_retries`: retransmissions of a SYN+ACK before the request is dropped.
pub const TCP_SYNACK_RETRIES: Sysctl<u16> = Sysctl::named("tcp_synack_retries");
/// `tcp_syncookies`: 0 never, 1 when the SYN queue is full, 2 always.
pub const TCP_SYNCOOKIES: Sysctl<u16> = Sysctl::named("tcp_syncookies");
/// `tcp_syn_retries`: retransmissions of a SYN before connect(2) fails with ETIMEDOUT.
pub const TCP_SYN_RETRIES: Sysctl<u16> = Sysctl::named("tcp_syn_retries");
/// `tcp_tw_reuse`: whether connect(2) may reuse a 4-tuple in TIME_WAIT: 0 never, 1 always, 2 on loopback.
pub const TCP_TW_REUSE: Sysctl<u16> = Sysctl::named("tcp_tw_reuse");

/// A sysctl that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SysctlError {
    /// The file under /proc/sys could not be read or written.
    #[error("{action} sysctl net.ipv4.{name}: {cause}{}", remedy(cause))]
    Access {
        /// `reading` or `setting`.
        action: &'static str,
        /// The name under `net.ipv4`.
        name: &'static str,
        /// The I/O error.
        cause: io::Error,
    },
    /// The value does not have the expected format.
    #[error("sysctl net.ipv4.{name} has an unexpected value: {text:?}")]
    Form {
        /// The name under `net.ipv4`.
        name: &'static str,
        /// The value.
        text: String,
    },
}

impl SysctlError {
    /// Whether the host does not permit it (read-only /proc/sys, missing privilege), rather than the value being wrong.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        matches!(self, Self::Access { cause, .. } if !remedy(cause).is_empty())
    }
}

/// The remedy for the error, to be appended to it.
fn remedy(cause: &io::Error) -> &'static str {
    match cause.raw_os_error() {
        Some(libc::EROFS) => {
            "; containers mount /proc/sys read-only: start the container with --privileged, or remount /proc/sys writable"
        }
        Some(libc::EACCES | libc::EPERM) => {
            "; this needs CAP_NET_ADMIN in its network namespace, and a security module that allows it"
        }
        _ => "",
    }
}

/// A sysctl under `net.ipv4` and the type of its value.
#[derive(Clone, Copy, Debug)]
pub struct Sysctl<T> {
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T: Value> Sysctl<T> {
    const fn named(name: &'static str) -> Self {
        Self { name, value: PhantomData }
    }

    /// The name under `net.ipv4`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The value in the calling thread's namespace; `None` if this kernel does not have the sysctl.
    ///
    /// # Errors
    /// [`SysctlError`] if it cannot be read or has an unexpected format.
    pub fn read(&self) -> Result<Option<T>, SysctlError> {
        match read_whole(&self.path()) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(SysctlError::Access { action: "reading", name: self.name, cause }),
            Ok(text) => match T::parse(text.trim()) {
                Some(value) => Ok(Some(value)),
                None => Err(SysctlError::Form { name: self.name, text }),
            },
        }
    }

    /// Sets the value in the calling thread's namespace.
    ///
    /// # Errors
    /// The kernel does not have the sysctl, rejects the value, or this process lacks permission.
    pub fn write(&self, value: &T) -> Result<(), SysctlError> {
        fs::write(self.path(), value.to_text()).map_err(|cause| SysctlError::Access {
            action: "setting",
            name: self.name,
            cause,
        })
    }

    fn path(&self) -> String {
        format!("/proc/sys/net/ipv4/{}", self.name)
    }
}

impl<T> fmt::Display for Sysctl<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net.ipv4.{}", self.name)
    }
}

/// Whether this kernel has a sysctl with this name under `net.ipv4`.
#[must_use]
pub fn exists(name: &str) -> bool {
    fs::exists(format!("/proc/sys/net/ipv4/{name}")).unwrap_or(true)
}

/// The longest possible value: a list of every other port.
const MAX_LENGTH: usize = 1 << 18;

/// The text of any sysctl in the calling thread's namespaces, by its full name, such as `net.core.somaxconn`.
///
/// # Errors
/// The kernel does not have the sysctl, or it cannot be read.
pub fn text(name: &str) -> io::Result<String> {
    read_whole(&format!("/proc/sys/{}", name.replace('.', "/")))
}

/// Reads a file with a single read(2): the kernel truncates a list to the buffer of the first call and returns nothing to
/// the next (`proc_do_large_bitmap`).
fn read_whole(path: &str) -> io::Result<String> {
    let mut bytes = vec![0; MAX_LENGTH];
    let length = File::open(path)?.read(&mut bytes)?;
    bytes.truncate(length);
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// A type that can be converted from and to a sysctl's text.
pub trait Value: Sized {
    /// Parses the text, without the newline.
    fn parse(text: &str) -> Option<Self>;
    /// Formats the text.
    fn to_text(&self) -> String;
}

impl Value for bool {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        }
    }

    fn to_text(&self) -> String {
        u8::from(*self).to_string()
    }
}

/// A port or another number.
impl Value for u16 {
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

/// Two numbers; the kernel separates them by a tab.
impl Value for PortRange {
    fn parse(text: &str) -> Option<Self> {
        let mut bounds = text.split_whitespace().map(str::parse);
        let range = bounds.next()?.ok()?..=bounds.next()?.ok()?;
        bounds.next().is_none().then_some(range)
    }

    fn to_text(&self) -> String {
        format!("{} {}", self.start(), self.end())
    }
}

/// Ports and ranges, such as `80,8000-8010`, or nothing.
impl Value for Vec<PortRange> {
    fn parse(text: &str) -> Option<Self> {
        let range = |item: &str| {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            Some(first.parse().ok()?..=last.parse().ok()?)
        };
        text.split(',').filter(|item| !item.is_empty()).map(range).collect()
    }

    fn to_text(&self) -> String {
        let items: Vec<_> = self.iter().map(|range| format!("{}-{}", range.start(), range.end())).collect();
        // An empty write changes nothing; a newline is an empty list.
        items.join(",") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Namespace;

    #[test]
    fn the_kernels_text_is_parsed() {
        assert_eq!(PortRange::parse("32768\t60999"), Some(32768..=60999));
        assert_eq!(PortRange::parse("32768"), None);
        assert_eq!(PortRange::parse("1 2 3"), None);
        assert_eq!(Vec::<PortRange>::parse("80,8000-8010"), Some(vec![80..=80, 8000..=8010]));
        assert_eq!(Vec::<PortRange>::parse(""), Some(vec![]));
        assert_eq!(Vec::<PortRange>::parse("80,x"), None);
        assert_eq!((bool::parse("1"), bool::parse("2")), (Some(true), None));
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn each_namespace_has_its_own_values() {
        let (narrow, reserved) = (1314..=1320, vec![1314..=1314, 1316..=1318]);
        let outside = (IP_LOCAL_PORT_RANGE.read().unwrap(), IP_LOCAL_RESERVED_PORTS.read().unwrap());
        let check = || {
            IP_LOCAL_PORT_RANGE.write(&narrow).unwrap();
            IP_LOCAL_RESERVED_PORTS.write(&reserved).unwrap();
            assert_eq!(IP_LOCAL_PORT_RANGE.read().unwrap(), Some(narrow.clone()));
            assert_eq!(IP_LOCAL_RESERVED_PORTS.read().unwrap(), Some(reserved.clone()));
            IP_LOCAL_RESERVED_PORTS.write(&vec![]).unwrap();
            assert_eq!(IP_LOCAL_RESERVED_PORTS.read().unwrap(), Some(vec![]));
            assert!(!IP_LOCAL_PORT_RANGE.write(&PortRange::new(5, 1)).unwrap_err().is_permission());
            IP_UNPRIVILEGED_PORT_START.write(&0).unwrap();
            assert_eq!(IP_UNPRIVILEGED_PORT_START.read().unwrap(), Some(0));
        };
        Namespace::private().unwrap().enter(check).unwrap();
        let after = (IP_LOCAL_PORT_RANGE.read().unwrap(), IP_LOCAL_RESERVED_PORTS.read().unwrap());
        assert_eq!(after, outside);
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn a_list_of_any_length_is_read_completely() {
        let every_other = || (0..=u16::MAX).step_by(2).map(|port| port..=port);
        let check = || {
            for length in [6, 1_000, every_other().len()] {
                let list: Vec<PortRange> = every_other().skip(1).take(length).collect();
                IP_LOCAL_RESERVED_PORTS.write(&list).unwrap();
                assert_eq!(IP_LOCAL_RESERVED_PORTS.read().unwrap(), Some(list));
            }
        };
        Namespace::private().unwrap().enter(check).unwrap();
    }

    #[test]
    fn a_permission_error_has_a_remedy() {
        let setting = |errno| SysctlError::Access {
            action: "setting",
            name: "ip_local_port_range",
            cause: io::Error::from_raw_os_error(errno),
        };
        for (errno, remedy) in [(libc::EROFS, "read-only"), (libc::EACCES, "CAP_NET_ADMIN")] {
            let error = setting(errno);
            assert!(error.is_permission() && error.to_string().contains(remedy), "{error}");
        }
        assert!(!setting(libc::EINVAL).is_permission());
    }

    #[test]
    fn a_missing_sysctl_is_none() {
        assert_eq!(Sysctl::<bool>::named("probe_no_such_sysctl").read().unwrap(), None);
    }
}
