//! What the rest of the tool talks about: states, endpoints, sockets, owners, causes and reports.
//!
//! Pure data: nothing here does I/O, reads a clock or can fail. Names follow the kernel and RFC 9293.

mod cause;
mod check;
mod endpoint;
mod errno;
mod event;
mod finding;
mod host;
mod owner;
mod packet;
mod report;
mod socket;
mod state;
mod time;
mod transition;

pub use cause::{Cause, CauseKind};
pub use check::{Check, Phase, SocketRow, Verdict};
pub use endpoint::{Endpoint, Endpoints};
pub use errno::Errno;
pub use event::{End, Event};
pub use finding::{Finding, FindingKind};
pub use host::{Backend, Host, PortRange};
pub use owner::{Known, Name, Owner, Task, escape};
pub use packet::{Fate, Flags, Origin, Packet, Segment, Side};
pub use report::{Counters, Opened, Report};
pub use socket::{Family, Protocol, SocketId};
pub use state::{Edge, State, is_legal};
pub use time::{Clock, Mono};
pub use transition::{Close, Connection, Open, Transition};
