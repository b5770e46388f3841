//! The integration tests: the tool as its users run it, and the parts of it that need a kernel.
//!
//! - `support`, `objects`: starting the tool, and what came of it
//! - `contract`, `coherence`: what its JSON must be, object by object and as a stream
//! - `run`, `pcap`: the scenarios on the running kernel
//! - `kernel_trace`, `witness`: the same, as the kernel's own trace has it
//! - `rendezvous`: two processes that meet
//! - `interrupted`, `remains`: runs that are cut short, and what is left of them
//! - `failures`: checks, hosts and command lines that are wrong
//! - `replay`, `broken`: recordings, whole and otherwise
//! - `wire`: the emulated link

mod broken;
mod coherence;
mod contract;
mod failures;
mod interrupted;
mod kernel_trace;
mod objects;
mod pcap;
mod remains;
mod rendezvous;
mod replay;
mod run;
mod support;
mod wire;
mod witness;
