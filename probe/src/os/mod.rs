//! The operating system around the network: capabilities, cgroups, clocks, CPUs, the kernel's release and configuration,
//! memory, mounts, processes, signals and users.
//!
//! With [`net`](crate::net), this is where Linux is called; nothing above makes a system call of its own.

pub mod capability;
pub mod cgroup;
pub mod child;
pub mod clock;
pub mod cpu;
pub mod interrupt;
pub mod kernel;
pub mod memory;
pub(crate) mod mounts;
pub(crate) mod owners;
pub mod process;
#[cfg(test)]
pub(crate) mod testing;
pub mod user;
