//! Events for which the kernel did not run the program.
//!
//! While a program runs on a CPU, the kernel does not run it again there: an event in a softirq that comes in
//! between is passed over (and with the classic tracepoints, while any tracing program runs there:
//! `bpf_prog_active`). It counts how often, since Linux 5.12.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::fs::FileExt as _,
    },
};

use aya::Ebpf;

/// What a program's fdinfo calls the count.
const COUNT: &str = "recursion_misses:";

/// The count of one program.
pub struct Misses {
    /// /proc/self/fdinfo of the program; `None` without /proc.
    info: Option<File>,
    told: u64,
}

impl Misses {
    /// Of the program of this name, which is loaded.
    pub fn of(ebpf: &Ebpf, program: &str) -> Self {
        let fd = ebpf.program(program).and_then(|program| program.fd().ok());
        let info = fd.and_then(|fd| File::open(format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd())).ok());
        Self { info, told: 0 }
    }

    /// How many there have been since this was asked last.
    pub fn new_ones(&mut self) -> io::Result<u64> {
        let Some(info) = &self.info else { return Ok(0) };
        let mut text = [0; 1024];
        let length = info.read_at(&mut text, 0)?;
        let count = count(&String::from_utf8_lossy(&text[..length]));
        let new = count.saturating_sub(self.told);
        self.told = count;
        Ok(new)
    }
}

/// 0 before Linux 5.12, which does not count.
fn count(info: &str) -> u64 {
    info.lines()
        .find_map(|line| line.strip_prefix(COUNT))
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_one_line_of_many() {
        let info = "pos:\t0\nprog_type:\t26\nrun_cnt:\t5\nrecursion_misses:\t2\nverified_insns:\t9\n";
        assert_eq!(count(info), 2);
        assert_eq!(count("pos:\t0\nprog_type:\t26\n"), 0);
    }
}
