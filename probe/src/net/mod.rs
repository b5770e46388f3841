//! The system under the scenarios: namespaces, devices, sockets, clocks, and what the kernel says of
//! them. Linux calls live here and nowhere above; what is `unsafe` about them stays inside.
//!
//! A network namespace belongs to a *thread*: everything here that opens a socket, reads a sysctl or
//! asks netlink acts on the namespace of the thread that calls it. [`Namespace::enter`] is how a
//! closure gets to another one.

mod attempt;
pub mod capability;
pub mod cgroup;
pub mod child;
pub mod clock;
pub mod counters;
pub mod cpu;
pub mod destroy;
pub mod host;
mod inet_diag;
pub mod interrupt;
pub mod kernel;
pub mod link;
pub mod lookup;
pub mod memory;
mod mounts;
pub mod namespace;
pub mod namespaces;
mod netlink;
mod option;
mod owners;
pub mod process;
mod ready;
pub mod snapshot;
pub mod sock_diag;
pub mod socket;
pub mod sysctl;
#[cfg(test)]
mod testing;
pub mod tun;
pub mod user;

pub use namespace::{Namespace, NamespaceError};
pub use socket::{SocketError, Tcp};
