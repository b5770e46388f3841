//! Integration tests: the tool as users run it, and its parts that need a kernel.
//!
//! - `support`, `objects`: running the tool and reading its output
//! - `contract`, `coherence`: the rules of its JSON, per object and per stream
//! - `schema`: the JSON against the schema that the tool prints
//! - `run`, `pcap`: the scenarios on the running kernel
//! - `kernel_trace`, `scenario_truth`: the scenarios compared with the kernel's own trace
//! - `actor`, `workload`, `tracing`: processes that use sockets, and `probe trace` observing them
//! - `trace_truth`: `probe trace` compared with the kernel's own trace
//! - `cause_truth`: causes compared with the kernel's stacks
//! - `owners`, `cgroups`, `existing`: socket owners, including those of pre-existing sockets
//! - `filters`, `command`: selecting sockets
//! - `traced_link`, `counters`, `resets`: connections over the emulated link: their counters, their RSTs
//! - `findings`, `connect_failed`, `bind_failed`, `bind_conflict`: findings
//! - `first_rows`: first and last transitions, where the kernel's fields are another socket's
//! - `audit`: this kernel's TCP, alone and compared with another's
//! - `time_wait`: TIME_WAIT and FIN_WAIT2 after close
//! - `round_trip`, `quiet`: recording and replaying traces
//! - `stops`, `loss`, `hostile`, `usage`: stopping, losses, hostile names, wrong usage
//! - `rendezvous`: two processes that open simultaneously
//! - `interrupted`, `kernel_objects`: interrupted runs leave nothing in the kernel
//! - `failures`: failing checks, unsuitable hosts, wrong command lines
//! - `docs`: the pages: commands, samples, JSON, links
//! - `doctor`: facilities and hazards, with their remedies applied
//! - `replay`, `broken`: complete and damaged recordings
//! - `wire`: the emulated link

mod actor;
mod audit;
mod bind_conflict;
mod bind_failed;
mod broken;
mod cause_truth;
mod cgroups;
mod coherence;
mod command;
mod connect_failed;
mod contract;
mod counters;
mod docs;
mod doctor;
mod existing;
mod failures;
mod filters;
mod findings;
mod first_rows;
mod hostile;
mod interrupted;
mod kernel_objects;
mod kernel_trace;
mod loss;
mod objects;
mod owners;
mod pcap;
mod quickack_netns;
mod quiet;
mod rendezvous;
mod replay;
mod resets;
mod round_trip;
mod run;
mod scenario_truth;
mod schema;
mod stops;
mod support;
mod time_namespace;
mod time_wait;
mod trace_truth;
mod traced_link;
mod tracing;
mod usage;
mod wire;
mod workload;
