//! `probe`: TCP connection lifecycles as the Linux kernel reports them.
//!
//! The modules from the lowest layer up; each uses only those above it in this list. ARCHITECTURE.md follows one event
//! through them.
//!
//! - [`model`]: pure data: states, endpoints, owners, causes, the pipeline's input and output
//! - [`track`]: turns reports into transitions and connections
//! - [`detect`]: turns transitions into findings; a new detector goes here and needs no root to test
//! - [`record`]: serialization: JSON output and recordings
//! - [`os`]: the operating system around the network: cgroups, clocks, processes, the kernel
//! - [`net`]: Linux networking: namespaces, devices, sockets, netlink, sysctls
//! - [`wire`]: an emulated link between two network namespaces
//! - [`source`]: where the pipeline's input comes from: the running kernel or a recording
//! - [`doctor`]: what this host provides, and its hazards
//! - [`scenario`]: connections to make, and what the kernel must report of them
//! - [`audit`]: TCP behaviours as data, and how they are run on this kernel
//! - [`render`]: tables, JSON, pcapng
//! - [`session`]: the pipeline from a source to a renderer and a recording
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
