//! Linux networking: namespaces, devices, TCP sockets, netlink, sysctls and TCP counters.
//!
//! Wraps the system calls that the modules above use, and the `unsafe` code that some need; see also [`os`](crate::os).
//!
//! A network namespace belongs to a *thread*: everything here that opens a socket, reads a sysctl or
//! queries netlink acts on the namespace of the calling thread. [`Namespace::enter`] runs a closure in
//! another one.

pub mod counters;
pub mod destroy;
pub mod host;
mod inet_diag;
pub mod link;
pub mod lookup;
pub mod namespace;
pub mod namespaces;
mod netlink;
mod ready;
pub mod snapshot;
pub mod sock_diag;
pub mod socket;
pub mod sysctl;
pub mod tun;

pub use namespace::{Namespace, NamespaceError};
pub use socket::{SocketCounters, SocketError, Tcp};
