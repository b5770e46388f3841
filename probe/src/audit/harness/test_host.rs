//! A network namespace that stands for a host.

use std::net::{IpAddr, SocketAddr};

use crate::{
    audit::requirement::{self, Requirement},
    model::{Family, State},
    net::{
        Namespace, Tcp,
        counters::{self, Counters},
        link::Device,
        sock_diag::{DiagSocket, tcp_sockets},
        sysctl::{Sysctl, Value},
    },
    scenario::{Step, StepError},
};

/// A network namespace with one address.
#[derive(Clone, Debug)]
pub struct TestHost {
    /// The namespace.
    pub namespace: Namespace,
    pub(super) addr: IpAddr,
    needs: &'static [Requirement],
}

impl TestHost {
    pub(super) fn new(namespace: Namespace, addr: IpAddr, needs: &'static [Requirement]) -> Self {
        Self { namespace, addr, needs }
    }

    /// The host's address with this port.
    #[must_use]
    pub fn endpoint(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.addr, port)
    }

    /// Sets a sysctl in the namespace.
    ///
    /// # Errors
    /// The write was refused, or the entry does not declare the sysctl among its `needs`.
    pub fn set_sysctl<T: Value + Sync>(&self, sysctl: Sysctl<T>, value: &T) -> Result<(), StepError> {
        requirement::declared(self.needs, Requirement::Sysctl(sysctl.name()))?;
        Ok(self.namespace.enter(|| sysctl.write(value))??)
    }

    /// Sets the loopback device up or down.
    ///
    /// # Errors
    /// The kernel refused it.
    pub fn set_loopback(&self, up: bool) -> Result<(), StepError> {
        self.namespace
            .enter(|| {
                let device = Device::named("lo")?;
                if up { device.up() } else { device.down() }
            })?
            .step(if up { "setting lo up" } else { "setting lo down" })
    }

    /// The namespace's TCP counters (`/proc/net/snmp` and `/proc/net/netstat`).
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn counters(&self) -> Result<Counters, StepError> {
        self.namespace.enter(counters::read)?.step("reading the kernel's counters")
    }

    /// A socket that the audit does not observe, so it must stay in CLOSE: to test bind(2), or to hold a port.
    ///
    /// # Errors
    /// The namespace cannot be entered, or the process has no descriptor left.
    pub fn unobserved_socket(&self) -> Result<Tcp, StepError> {
        self.namespace.enter(|| Tcp::new(Family::Ipv4))?.step("opening a socket")
    }

    /// The number of request sockets: SYNs that were answered, and whose handshake is not complete.
    ///
    /// # Errors
    /// The kernel does not support sock_diag.
    pub fn request_sockets(&self) -> Result<usize, StepError> {
        Ok(self.sockets()?.iter().filter(|socket| socket.state == State::SynRecv).count())
    }

    /// Every TCP socket of the namespace, as sock_diag lists them.
    ///
    /// # Errors
    /// The kernel does not support sock_diag.
    pub(super) fn sockets(&self) -> Result<Vec<DiagSocket>, StepError> {
        let listed = self.namespace.enter(tcp_sockets)?;
        listed.map_err(|error| StepError::Unsupported(error.to_string()))
    }
}
