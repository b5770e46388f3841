//! Linux networking: namespaces, devices, TCP sockets, netlink, sysctls and TCP counters.
//!
//! With [`os`](crate::os), this is where Linux is called; the `unsafe` code that some calls need stays in here.
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
pub use socket::{SocketError, Tcp};
