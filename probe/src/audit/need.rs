//! What a behaviour needs of the host: looked at before its steps begin, so that what is missing is said in its own
//! words, and named wherever the behaviour is.

use std::{fmt, net::Ipv6Addr};

use crate::{
    model::Family,
    net::{Namespace, Tcp, host, sysctl, tun},
    os::{
        capability::{Capability, CapabilitySet},
        kernel,
    },
    scenario::{StepError, crossing_is_allowed},
};

/// One thing that there must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A wire between two namespaces, which takes TUN devices.
    Wire,
    /// That a SYN opens a socket in SYN_SENT: linux-hardened can be told to refuse it.
    Crossing,
    /// IPv6, on the loopback device at least.
    Ipv6,
    /// Multipath TCP.
    Mptcp,
    /// A sysctl under `net.ipv4`, set in a namespace of the behaviour's own.
    Sysctl(&'static str),
    /// A capability.
    Capability(Capability),
    /// An option that the kernel must have been built with.
    Option(&'static str),
    /// A kernel of this version or a later one.
    Linux(u32, u32),
}

impl Need {
    /// Looks whether it is there. What cannot be known beforehand counts as there: the steps will show.
    ///
    /// # Errors
    /// [`StepError::Unsupported`], where it is not.
    pub fn check(self) -> Result<(), StepError> {
        let lacking = |why: String| Err(StepError::Unsupported(why));
        match self {
            Self::Wire => tun::driver().map(drop).map_err(|error| StepError::Unsupported(error.to_string())),
            Self::Crossing => crossing_is_allowed(),
            Self::Ipv6 => match in_a_namespace(|| Tcp::bound((Ipv6Addr::LOCALHOST, 0).into()))? {
                Err(error) => lacking(format!("no socket can be bound to ::1: {error}; IPv6 is turned off")),
                Ok(_) => Ok(()),
            },
            Self::Mptcp => match in_a_namespace(|| Tcp::multipath(Family::Ipv4))? {
                Err(error) => lacking(format!("no MPTCP socket: {error}; it needs CONFIG_MPTCP (Linux 5.6)")),
                Ok(_) => Ok(()),
            },
            Self::Sysctl(name) if !sysctl::exists(name) => {
                lacking(format!("this kernel has no sysctl net.ipv4.{name}"))
            }
            Self::Capability(one) if CapabilitySet::effective().is_some_and(|held| !held.has(one)) => {
                lacking(format!("not without {}", one.name))
            }
            Self::Option(name) if kernel::has_option(name) == Some(false) => {
                lacking(format!("this kernel was built without {name}"))
            }
            Self::Linux(major, minor) => {
                let release = host::facts().kernel;
                match kernel::version(&release) {
                    Some(here) if here < [major, minor] => {
                        lacking(format!("not before Linux {major}.{minor}: this is {release}"))
                    }
                    _ => Ok(()),
                }
            }
            Self::Sysctl(_) | Self::Capability(_) | Self::Option(_) => Ok(()),
        }
    }
}

impl fmt::Display for Need {
    /// `wire`, `net.ipv4.tcp_fastopen`, `Linux 5.14`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire => f.write_str("wire"),
            Self::Crossing => f.write_str("crossing SYNs"),
            Self::Ipv6 => f.write_str("IPv6"),
            Self::Mptcp => f.write_str("MPTCP"),
            Self::Sysctl(name) => write!(f, "net.ipv4.{name}"),
            Self::Capability(capability) => f.write_str(capability.name),
            Self::Option(name) => f.write_str(name),
            Self::Linux(major, minor) => write!(f, "Linux {major}.{minor}"),
        }
    }
}

/// Makes sure that an entry names what its steps use.
///
/// # Errors
/// It does not: the entry is wrong.
pub(super) fn named(needs: &[Need], used: Need) -> Result<(), StepError> {
    if needs.contains(&used) {
        return Ok(());
    }
    let cause = format!("the entry uses `{used}`, which is not among its needs");
    Err(StepError::Failed { step: "looking at the entry".to_owned(), cause })
}

/// Does it in a namespace like those that behaviours have.
fn in_a_namespace<T: Send>(act: impl FnOnce() -> T + Send) -> Result<T, StepError> {
    Ok(Namespace::private()?.enter(act)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let why = |need: Need| need.check().expect_err("nobody has it").to_string();
        assert_eq!(why(Need::Sysctl("tcp_no_such")), "this kernel has no sysctl net.ipv4.tcp_no_such");
        assert!(why(Need::Linux(99, 0)).starts_with("not before Linux 99.0: this is "));
        assert_eq!(Need::Linux(2, 6).check(), Ok(()));
        assert_eq!(Need::Sysctl("ip_local_port_range").check(), Ok(()));
    }

    #[test]
    fn it_has_a_short_name() {
        assert_eq!(Need::Wire.to_string(), "wire");
        assert_eq!(Need::Sysctl("tcp_fastopen").to_string(), "net.ipv4.tcp_fastopen");
        assert_eq!(Need::Capability(Capability::SETUID).to_string(), "CAP_SETUID");
        assert_eq!(Need::Linux(5, 14).to_string(), "Linux 5.14");
    }
}
