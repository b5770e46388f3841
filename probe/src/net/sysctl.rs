//! The sysctls under `net.ipv4` of the calling thread's namespace, with types.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    marker::PhantomData,
};

use nix::libc;

use crate::model::PortRange;

/// `ip_local_port_range`: the ports that connect(2) and `bind(0)` choose from.
pub const IP_LOCAL_PORT_RANGE: Sysctl<PortRange> = Sysctl::named("ip_local_port_range");
/// `ip_local_reserved_ports`: those of them that the kernel never chooses by itself.
pub const IP_LOCAL_RESERVED_PORTS: Sysctl<Vec<PortRange>> = Sysctl::named("ip_local_reserved_ports");
/// `ip_unprivileged_port_start`: the first port that binding to needs no CAP_NET_BIND_SERVICE.
pub const IP_UNPRIVILEGED_PORT_START: Sysctl<u16> = Sysctl::named("ip_unprivileged_port_start");
/// `tcp_abort_on_overflow`: whether a third ACK that finds the accept queue full is answered by a RST.
pub const TCP_ABORT_ON_OVERFLOW: Sysctl<bool> = Sysctl::named("tcp_abort_on_overflow");
/// `tcp_fastopen`: who may open with data in the SYN, as bits: 1 the client, 2 the server, 4 the client and 0x200 the
/// server without a cookie.
pub const TCP_FASTOPEN: Sysctl<u16> = Sysctl::named("tcp_fastopen");
/// `tcp_fin_timeout`: how long what is left of an orphan stays in FIN_WAIT2, in seconds.
pub const TCP_FIN_TIMEOUT: Sysctl<u16> = Sysctl::named("tcp_fin_timeout");
/// `tcp_migrate_req`: whether a listener that closes leaves its queue to the next of its SO_REUSEPORT group; since
/// Linux 5.14.
pub const TCP_MIGRATE_REQ: Sysctl<bool> = Sysctl::named("tcp_migrate_req");
/// `tcp_orphan_retries`: how often a FIN is sent again for a socket that no process holds any more.
pub const TCP_ORPHAN_RETRIES: Sysctl<u16> = Sysctl::named("tcp_orphan_retries");
/// `tcp_retries2`: how often data is sent again before the connection is given up.
pub const TCP_RETRIES2: Sysctl<u16> = Sysctl::named("tcp_retries2");
/// `tcp_rfc1337`: whether TIME_WAIT survives a RST.
pub const TCP_RFC1337: Sysctl<bool> = Sysctl::named("tcp_rfc1337");
/// `tcp_simult_connect`: whether a SYN in SYN_SENT opens the connection. Only linux-hardened has it;
/// every other kernel always does.
pub const TCP_SIMULT_CONNECT: Sysctl<bool> = Sysctl::named("tcp_simult_connect");
/// `tcp_synack_retries`: how often a SYN+ACK is sent again before the request is given up.
pub const TCP_SYNACK_RETRIES: Sysctl<u16> = Sysctl::named("tcp_synack_retries");
/// `tcp_syncookies`: 0 never, 1 where the queue of requests is full, 2 always.
pub const TCP_SYNCOOKIES: Sysctl<u16> = Sysctl::named("tcp_syncookies");
/// `tcp_syn_retries`: how often a SYN is sent again before the connect is given up.
pub const TCP_SYN_RETRIES: Sysctl<u16> = Sysctl::named("tcp_syn_retries");
/// `tcp_tw_reuse`: whether connect(2) may take the place of a TIME_WAIT: 0 never, 1 always, 2 on loopback.
pub const TCP_TW_REUSE: Sysctl<u16> = Sysctl::named("tcp_tw_reuse");

/// A sysctl that could not be read or set.
#[derive(Debug, thiserror::Error)]
pub enum SysctlError {
    /// The file under /proc/sys could not be used.
    #[error("{action} sysctl net.ipv4.{name}: {cause}{}", remedy(cause))]
    Access {
        /// `reading` or `setting`.
        action: &'static str,
        /// Its name under `net.ipv4`.
        name: &'static str,
        /// What the file system said.
        cause: io::Error,
    },
    /// The kernel's text is not of the form that this sysctl has on Linux.
    #[error("sysctl net.ipv4.{name} reads {text:?}, which is not what Linux writes there")]
    Form {
        /// Its name under `net.ipv4`.
        name: &'static str,
        /// What it reads.
        text: String,
    },
}

impl SysctlError {
    /// Whether this process may not, which is the host's affair; anything else is a mistake of the caller's.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Access { cause, .. } if !remedy(cause).is_empty())
    }
}

/// What would make the file system agree, to be read after its answer.
fn remedy(cause: &io::Error) -> &'static str {
    match cause.raw_os_error() {
        Some(libc::EROFS) => {
            "; containers mount /proc/sys read-only: start this one with --privileged, or remount it writable"
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

    /// Its name under `net.ipv4`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its value here, `None` where this kernel has no such sysctl.
    ///
    /// # Errors
    /// It could not be read.
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

    /// Sets it here.
    ///
    /// # Errors
    /// This kernel has no such sysctl, refuses the value, or this process may not.
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

/// Whether this kernel has a sysctl of that name under `net.ipv4`.
#[must_use]
pub fn exists(name: &str) -> bool {
    fs::exists(format!("/proc/sys/net/ipv4/{name}")).unwrap_or(true)
}

/// Room for the longest text: a list with every other port in it.
const LONGEST: usize = 1 << 18;

/// The text of any sysctl of the calling thread's namespaces, by its whole name, such as `net.core.somaxconn`.
///
/// # Errors
/// This kernel has no such sysctl, or it may not be read.
pub fn text(name: &str) -> io::Result<String> {
    read_whole(&format!("/proc/sys/{}", name.replace('.', "/")))
}

/// Reads it all at once: of a list the kernel gives the first read(2) as much as fits, and the next one nothing
/// (`proc_do_large_bitmap`).
fn read_whole(path: &str) -> io::Result<String> {
    let mut bytes = vec![0; LONGEST];
    let length = File::open(path)?.read(&mut bytes)?;
    bytes.truncate(length);
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// A value in the text that the kernel reads and writes.
pub trait Value: Sized {
    /// From the kernel's text, without the newline.
    fn parse(text: &str) -> Option<Self>;
    /// To the kernel's text.
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

/// A port.
impl Value for u16 {
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

/// Two numbers with a tab between them.
impl Value for PortRange {
    fn parse(text: &str) -> Option<Self> {
        let mut ends = text.split_whitespace().map(str::parse);
        let range = ends.next()?.ok()?..=ends.next()?.ok()?;
        ends.next().is_none().then_some(range)
    }

    fn to_text(&self) -> String {
        format!("{} {}", self.start(), self.end())
    }
}

/// Ports and ranges: `80,8000-8010`; nothing is an empty list.
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
        // An empty write leaves a sysctl as it was; a bare newline is an empty list.
        items.join(",") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Namespace;

    #[test]
    fn the_kernels_text_is_understood() {
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
    fn a_namespace_has_its_own() {
        let (narrow, reserved) = (1314..=1320, vec![1314..=1314, 1316..=1318]);
        let outside = (IP_LOCAL_PORT_RANGE.read().unwrap(), IP_LOCAL_RESERVED_PORTS.read().unwrap());
        let check = || {
            IP_LOCAL_PORT_RANGE.write(&narrow).unwrap();
            IP_LOCAL_RESERVED_PORTS.write(&reserved).unwrap();
            assert_eq!(IP_LOCAL_PORT_RANGE.read().unwrap(), Some(narrow.clone()));
            assert_eq!(IP_LOCAL_RESERVED_PORTS.read().unwrap(), Some(reserved.clone()));
            IP_LOCAL_RESERVED_PORTS.write(&vec![]).unwrap();
            assert_eq!(IP_LOCAL_RESERVED_PORTS.read().unwrap(), Some(vec![]));
            assert!(!IP_LOCAL_PORT_RANGE.write(&PortRange::new(5, 1)).unwrap_err().is_refusal());
            IP_UNPRIVILEGED_PORT_START.write(&0).unwrap();
            assert_eq!(IP_UNPRIVILEGED_PORT_START.read().unwrap(), Some(0));
        };
        Namespace::private().unwrap().enter(check).unwrap();
        let after = (IP_LOCAL_PORT_RANGE.read().unwrap(), IP_LOCAL_RESERVED_PORTS.read().unwrap());
        assert_eq!(after, outside);
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn a_list_of_any_length_is_read_to_its_end() {
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
    fn a_refusal_comes_with_its_cure() {
        let setting = |errno| SysctlError::Access {
            action: "setting",
            name: "ip_local_port_range",
            cause: io::Error::from_raw_os_error(errno),
        };
        for (errno, remedy) in [(libc::EROFS, "read-only"), (libc::EACCES, "CAP_NET_ADMIN")] {
            let error = setting(errno);
            assert!(error.is_refusal() && error.to_string().contains(remedy), "{error}");
        }
        assert!(!setting(libc::EINVAL).is_refusal());
    }

    #[test]
    fn a_sysctl_that_no_kernel_has_is_none() {
        assert_eq!(Sysctl::<bool>::named("probe_no_such_sysctl").read().unwrap(), None);
    }
}
