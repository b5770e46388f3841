//! `probe`: TCP connection lifecycles as the Linux kernel reports them.
//!
//! The modules, bottom up: each uses only modules listed before it. ARCHITECTURE.md follows one event through them.
//!
//! - [`model`]: shared types: states, endpoints, owners, causes, events
//! - [`track`]: turns reports into transitions and connections
//! - [`detect`]: turns transitions into findings; tests of a new detector need no root
//! - [`record`]: the JSON output objects and the recording format
//! - [`os`]: the operating system around the network: cgroups, clocks, processes, the kernel
//! - [`net`]: Linux networking: namespaces, devices, sockets, netlink, sysctls
//! - [`wire`]: an emulated link between two namespaces
//! - [`source`]: where events come from: the live kernel, a recording
//! - [`doctor`]: what this host supports, and its port hazards
//! - [`scenario`]: connections to trigger, and the expected reports of the kernel
//! - [`audit`]: TCP behaviours as data, and their comparison with this kernel
//! - [`render`]: formats events as tables, JSON, HTML and pcapng
//! - [`session`]: the event loop that connects sources, analysis and output
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
