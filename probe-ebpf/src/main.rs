//! The BPF programs.
//!
//! Two programs report a transition: `transition_btf` on the BTF tracepoint, with the socket's identity and owner
//! (`transition_nested` helps it), and `transition_classic` on the classic tracepoint, for kernels that lack BTF or its
//! helpers. Each event becomes one record of [`probe_ebpf`]'s in the ring. `bind_failed`, `reset_sent` and
//! `reset_received` report what explains transitions, where the host supports them.
//!
//! The modules form layers, from the bottom up: constants and kernel memory (`config`, `offsets`, `protocol`, `system_call`,
//! `tcp_state`, `atomic`, `kernel_memory`), the view of one transition (`task`, `transition`), the filter and the states of
//! sockets (`filter`, `socket_state`, `table`, `socket_storage`, `address_map`), records (`ring`, `record`, `stack`,
//! `report`), and the programs.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
// For `#[inline(always)]` on the closure that fills in a record: as a function of its own, it would receive its captures
// through memory.
#![feature(stmt_expr_attributes)]
#![expect(unsafe_code, reason = "every access to kernel memory is unsafe, and checked by the verifier")]

mod address_map;
mod atomic;
mod bind;
mod classic;
mod config;
mod filter;
mod fork;
mod kernel_memory;
mod offsets;
mod protocol;
mod record;
mod reentry;
mod report;
mod reset;
mod ring;
mod select;
mod socket_state;
mod socket_storage;
mod stack;
mod system_call;
mod table;
mod task;
mod tcp_state;
mod tp_btf;
mod tracking;
mod transition;

/// `bpf_get_socket_cookie` and other helpers require a GPL-compatible license.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Never runs: the verifier rejects a program that could reach it.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
