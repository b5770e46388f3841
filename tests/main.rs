//! The integration tests: the tool as its users run it, and the parts of it that need a kernel.
//!
//! - `support`, `objects`: starting the tool, and what came of it
//! - `contract`, `coherence`: what its JSON must be, object by object and as a stream
//! - `schema`: the same, against the schema that the tool prints
//! - `run`, `pcap`: the scenarios on the running kernel
//! - `kernel_trace`, `witness`: the same, as the kernel's own trace has it
//! - `actor`, `workload`, `tracing`: what happens on a host, and `probe trace` on it
//! - `trace_truth`: what that tells, against the kernel's own trace
//! - `owners`, `cgroups`, `existing`: whose sockets they are, those too that were there before
//! - `filters`, `command`: which sockets are shown
//! - `findings`, `connect_failed`, `bind_failed`: what is found among them
//! - `audit`: what TCP does, on this kernel and beside another's
//! - `time_wait`: what stays of connections
//! - `round_trip`, `unseen`: traces recorded, and seen again, or for the first time
//! - `stops`, `loss`, `hostile`, `usage`: what can come in the way of a trace
//! - `rendezvous`: two processes that meet
//! - `interrupted`, `remains`: runs that are cut short, and what is left of them
//! - `failures`: checks, hosts and command lines that are wrong
//! - `docs`: the pages: commands, samples, links
//! - `doctor`: what is said of hosts, and what remedies them
//! - `replay`, `broken`: recordings, whole and otherwise
//! - `wire`: the emulated link

mod actor;
mod audit;
mod bind_failed;
mod broken;
mod cgroups;
mod coherence;
mod command;
mod connect_failed;
mod contract;
mod docs;
mod doctor;
mod existing;
mod failures;
mod filters;
mod findings;
mod hostile;
mod interrupted;
mod kernel_trace;
mod loss;
mod objects;
mod owners;
mod pcap;
mod place;
mod remains;
mod rendezvous;
mod replay;
mod round_trip;
mod run;
mod schema;
mod stops;
mod support;
mod time_wait;
mod trace_truth;
mod tracing;
mod unseen;
mod usage;
mod wire;
mod witness;
mod workload;
