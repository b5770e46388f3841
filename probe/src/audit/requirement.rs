//! What a behaviour requires of the host: checked before its steps run, so that the result names what is
//! missing, and listed with the behaviour.

use std::{fmt, net::Ipv6Addr};

use crate::{
    model::{Family, kernel_version},
    net::{Namespace, Tcp, host, sysctl, tun},
    os::{
        capability::{Capability, CapabilitySet},
        kernel,
    },
    scenario::{StepError, simultaneous_open_allowed},
};

/// A requirement of a behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// A wire between two namespaces, which requires TUN devices.
    Wire,
    /// The kernel accepts a SYN in SYN_SENT. linux-hardened can be configured to drop it.
    SimultaneousOpen,
    /// IPv6, on the loopback device at least.
    Ipv6,
    /// Multipath TCP.
    Mptcp,
    /// A sysctl under `net.ipv4`, which the behaviour sets in its own namespace.
    Sysctl(&'static str),
    /// A capability.
    Capability(Capability),
    /// A kernel build option.
    KernelConfig(&'static str),
    /// This kernel version or a later one.
    Linux(u32, u32),
}

impl Requirement {
    /// Checks whether the host meets the requirement. A requirement that cannot be checked counts as met: the
    /// steps will show whether it is.
    ///
    /// # Errors
    /// [`StepError::Unsupported`] with the reason.
    pub fn check(self) -> Result<(), StepError> {
        let unmet = |reason: String| Err(StepError::Unsupported(reason));
        match self {
            Self::Wire => tun::driver().map(drop).map_err(|error| StepError::Unsupported(error.to_string())),
            Self::SimultaneousOpen => simultaneous_open_allowed(),
            Self::Ipv6 => match in_private_namespace(|| Tcp::bound((Ipv6Addr::LOCALHOST, 0).into()))? {
                Err(error) => unmet(format!("IPv6 is disabled: binding to ::1: {error}")),
                Ok(_) => Ok(()),
            },
            Self::Mptcp => match in_private_namespace(|| Tcp::multipath(Family::Ipv4))? {
                Err(error) => {
                    unmet(format!("no MPTCP socket: {error}; it requires CONFIG_MPTCP (Linux 5.6)"))
                }
                Ok(_) => Ok(()),
            },
            Self::Sysctl(name) if !sysctl::exists(name) => {
                unmet(format!("this kernel has no sysctl net.ipv4.{name}"))
            }
            Self::Capability(capability)
                if CapabilitySet::effective().is_some_and(|held| !held.has(capability)) =>
            {
                unmet(format!("requires {}", capability.name))
            }
            Self::KernelConfig(name) if kernel::has_option(name) == Some(false) => {
                unmet(format!("this kernel was built without {name}"))
            }
            Self::Linux(major, minor) => {
                let release = host::facts().kernel;
                match kernel_version(&release) {
                    Some(version) if version < [major, minor] => {
                        unmet(format!("requires Linux {major}.{minor} or later; this is {release}"))
                    }
                    _ => Ok(()),
                }
            }
            Self::Sysctl(_) | Self::Capability(_) | Self::KernelConfig(_) => Ok(()),
        }
    }
}

impl fmt::Display for Requirement {
    /// `wire`, `net.ipv4.tcp_fastopen`, `Linux 5.14`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire => f.write_str("wire"),
            Self::SimultaneousOpen => f.write_str("simultaneous open"),
            Self::Ipv6 => f.write_str("IPv6"),
            Self::Mptcp => f.write_str("MPTCP"),
            Self::Sysctl(name) => write!(f, "net.ipv4.{name}"),
            Self::Capability(capability) => f.write_str(capability.name),
            Self::KernelConfig(name) => f.write_str(name),
            Self::Linux(major, minor) => write!(f, "Linux {major}.{minor}"),
        }
    }
}

/// Checks that a behaviour declares a requirement that its steps rely on.
///
/// # Errors
/// It does not: the entry is incomplete.
pub(super) fn declared(needs: &[Requirement], used: Requirement) -> Result<(), StepError> {
    if needs.contains(&used) {
        return Ok(());
    }
    let cause = format!("its steps use `{used}`, which is not among its `needs`");
    Err(StepError::Failed { step: "checking the catalogue entry".to_owned(), cause })
}

/// Calls `f` in a new network namespace, like those of behaviours.
fn in_private_namespace<T: Send>(f: impl FnOnce() -> T + Send) -> Result<T, StepError> {
    Ok(Namespace::private()?.enter(f)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unmet_requirement_is_named() {
        let reason =
            |requirement: Requirement| requirement.check().expect_err("no host meets it").to_string();
        assert_eq!(
            reason(Requirement::Sysctl("tcp_no_such")),
            "this kernel has no sysctl net.ipv4.tcp_no_such"
        );
        assert!(reason(Requirement::Linux(99, 0)).starts_with("requires Linux 99.0 or later; this is "));
        assert_eq!(Requirement::Linux(2, 6).check(), Ok(()));
        assert_eq!(Requirement::Sysctl("ip_local_port_range").check(), Ok(()));
    }

    #[test]
    fn a_requirement_has_a_short_name() {
        assert_eq!(Requirement::Wire.to_string(), "wire");
        assert_eq!(Requirement::Sysctl("tcp_fastopen").to_string(), "net.ipv4.tcp_fastopen");
        assert_eq!(Requirement::Capability(Capability::SETUID).to_string(), "CAP_SETUID");
        assert_eq!(Requirement::Linux(5, 14).to_string(), "Linux 5.14");
    }
}
