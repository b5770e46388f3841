//! The data model: states, endpoints, sockets, owners, causes, reports, connections, findings.
//!
//! Pure data: nothing here does I/O, reads a clock or fails. Names follow the kernel and RFC 9293.

mod behaviour;
mod bind;
mod bind_conflict;
mod cause;
mod cgroup;
mod check;
mod closed_by;
mod connection;
mod diag_entry;
mod doctor;
mod endpoint;
mod errno;
mod filter;
mod finding;
mod host;
mod input;
mod kernel_stack;
mod loss_stage;
mod output;
mod owner;
mod packed;
mod packet;
mod profile;
mod recent;
mod report;
mod reset;
mod socket;
mod socket_table;
mod state;
mod state_history;
mod state_path;
mod summary;
#[cfg(test)]
pub mod testing;
mod time;
mod transition;

pub use behaviour::{BehaviourGroup, BehaviourResult, BehaviourStatus, Observation};
pub use bind::BindFailure;
pub use bind_conflict::{BindOptions, Conflict, conflict};
pub use cause::{Cause, CauseKind, CloseCall, ListenerEnd, RstReason, ShutdownHow, Timer};
pub use cgroup::Cgroup;
pub use check::{Check, Phase, SocketRow, Verdict};
pub use closed_by::ClosedBy;
pub use connection::{Close, Connection, Open};
pub use diag_entry::{AcceptQueue, DiagEntry, Opener, OpenerFate, PortOrigin, TimeWaitEntry};
pub use doctor::{
    Diagnosis, Facility, FacilityGroup, FacilityStatus, Hazard, HazardFacts, HazardKind, PortReach,
};
pub use endpoint::{Endpoint, Endpoints};
pub use errno::Errno;
pub use filter::Filter;
pub use finding::{Finding, FindingKind};
pub use host::{Backend, Host, PortRange, kernel_version};
pub use input::Input;
pub use kernel_stack::KernelStack;
pub use loss_stage::LossStage;
pub use output::{End, Output};
pub use owner::{Known, Name, Owner, Task, escape};
pub use packed::{PackedEndpoints, PackedIdentity};
pub use packet::{Fate, Flags, Origin, Packet, Segment, Side};
pub use profile::{Difference, FactKind, KernelFacts, Profile, ProfileEntry};
pub use recent::Recent;
pub use report::{Counters, FinalFields, Opened, Report, is_of_listener};
pub use reset::Reset;
pub use socket::{Family, Protocol, SocketId, SocketIdentity};
pub use socket_table::{KnownSocket, SocketTable};
pub use state::{Edge, State, TCP_EDGES, is_legal, path_text};
pub use state_history::StateHistory;
pub use state_path::StatePath;
pub use summary::Summary;
pub use time::{Clock, Mono};
pub use transition::Transition;
