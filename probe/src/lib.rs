//! `probe`: TCP connection lifecycles as the Linux kernel reports them.
//!
//! The map of the house, from the ground up; a module uses only what stands above it in this list.
//! ARCHITECTURE.md follows one event through it.
//!
//! - [`model`]: what is talked about: states, endpoints, owners, causes, events
//! - [`track`]: reports become transitions and connections
//! - [`detect`]: transitions become findings; a new detector goes here and needs no root to test
//! - [`record`]: everything that is JSON: output objects and recordings
//! - [`os`]: the operating system around the network: cgroups, clocks, processes, the kernel
//! - [`net`]: Linux networking: namespaces, devices, sockets, netlink, sysctls
//! - [`wire`]: an emulated link between two namespaces
//! - [`source`]: where events come from: the live kernel, a recording
//! - [`doctor`]: what this host gives, and what on it may go wrong
//! - [`scenario`]: connections to be made, and what the kernel must report of them
//! - [`audit`]: what TCP does, as data, and held against this kernel
//! - [`render`]: events become tables, JSON, pcapng
//! - [`session`]: the one loop
//! - [`cmd`] and [`cli`]: flags, printing, exit codes

pub mod audit;
pub mod cli;
pub mod cmd;
pub mod detect;
pub mod doctor;
pub mod model;
pub mod net;
pub mod os;
pub mod record;
pub mod render;
pub mod scenario;
pub mod session;
pub mod source;
pub mod track;
pub mod wire;
