//! The programs in the kernel.
//!
//! One question, two ways to ask it: `transition_btf` on the BTF tracepoint, with identity and owners;
//! `transition_classic` on the classic one, for kernels that lack BTF or its helpers. Each event
//! becomes one record of [`probe_ebpf`]'s in the ring. What explains transitions comes beside them, where
//! the host has it: `bind_failed`, `reset_sent` and `reset_received`.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
// What fills a record is a closure. One that is a function by itself would take all that it needs through memory.
#![feature(stmt_expr_attributes)]
#![expect(unsafe_code, reason = "every access to kernel memory is unsafe, and checked by the verifier")]

mod access;
mod bind;
mod classic;
mod edge;
mod fields;
mod filter;
mod fork;
mod kept;
mod maps;
mod modes;
mod record;
mod report;
mod reset;
mod ring;
mod run;
mod state;
mod stored;
mod table;
mod task;
mod tp_btf;

/// bpf_get_socket_cookie and others are open to GPL-compatible programs alone.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Never runs: the verifier refuses a program that could reach it.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
