//! The operating system around the network: capabilities, cgroups, clocks, CPUs, the kernel's release and configuration,
//! memory, mounts, open files, processes, signals and users.
//!
//! Wraps the system calls and /proc files that the modules above use; those about the network are in [`net`](crate::net).

pub mod capability;
pub mod cgroup;
pub mod child;
pub mod clock;
pub mod cpu;
pub mod interrupt;
pub mod kernel;
pub mod memory;
pub(crate) mod mounts;
pub mod open_files;
pub(crate) mod owners;
pub mod process;
#[cfg(test)]
pub(crate) mod testing;
pub mod user;
