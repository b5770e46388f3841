//! The integration tests: the tool as its users run it, and the parts of it that need a kernel.
//!
//! - `support`: starting the tool, and what came of it
//! - `contract`, `coherence`: what its JSON must be, object by object and as a stream
//! - `rendezvous`: two processes that meet
//! - `remains`: what a process leaves in the kernel
//! - `run`: the scenarios on the running kernel
//! - `wire`: the emulated link

mod coherence;
mod contract;
mod rendezvous;
mod interrupted;
mod pcap;
mod remains;
mod run;
mod support;
mod wire;
