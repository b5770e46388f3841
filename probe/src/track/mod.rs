//! Turns reports into transitions and connections: adds everything that a single report does not contain.
//!
//! Pure: no I/O, no clock, no errors, so that a replay yields what the live trace did. The tracker knows every open socket
//! (`tracked_socket`), and adds to each report its number, the generation, the owner (`owner`, `listeners`), the cause (`cause`),
//! endpoints that the kernel has cleared, and the time in the old state. For pre-existing sockets the snapshot gives owner and
//! endpoints (`preexisting`).

mod cause;
mod cgroups;
mod counters;
mod generations;
mod listeners;
mod live_holder;
mod owner;
mod owner_cache;
mod preexisting;
mod syscall;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod time_wait_owners;
mod tracked_socket;
mod tracker;
mod unnamed_children;

pub use self::tracker::{Tracked, Tracker};
