//! Events for which the kernel did not run the program.
//!
//! While a program runs on a CPU, the kernel does not run it again there: an event in a softirq that comes in
//! between is passed over. It counts how often, since Linux 5.12. On the BTF tracepoint another program takes it
//! (`probe-ebpf/src/run.rs`), and what that has taken is not missed. On the classic tracepoints nothing can take
//! it: there the kernel passes over every program while any runs, or a map is asked for something (`bpf_prog_active`).
//! That is counted since Linux 6.7.
//!
//! What a kernel keeps from all programs it counts for none. A build of Linux 6.18 was seen to do that: of what happened
//! in interrupts while a thread of the host's first process was on the CPU, neither backend was told, nor was perf;
//! tracefs's own trace had it.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::fs::FileExt as _,
    },
};

use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray},
};

use super::{LiveError, losses::Gap};
use crate::os::kernel;

/// What a program's fdinfo calls the count.
const COUNT: &str = "recursion_misses:";

/// The first kernel that counts them on a classic tracepoint, too (dd8657894c11).
const COUNTED_ON_CLASSIC: [u32; 2] = [6, 7];

/// What a kernel of this release does not tell of them on a classic tracepoint.
pub fn unknown_on_classic(release: &str) -> Option<&'static str> {
    let is_old = kernel::version(release).is_some_and(|version| version < COUNTED_ON_CLASSIC);
    is_old.then_some("how many events it passed over while another program ran (Linux 6.7)")
}

/// The count of one program.
pub struct Misses {
    /// /proc/self/fdinfo of the program; `None` without /proc.
    info: Option<File>,
    /// How many of these events the other program has taken.
    nested: PerCpuArray<MapData, i64>,
    /// How many it took before the program was attached.
    alone: i64,
    /// The count when it was asked last, and that of which it was told what is missed.
    passed_over: u64,
    settled: u64,
    told: u64,
}

impl Misses {
    /// Of the program of this name, which is loaded.
    pub fn of(ebpf: &mut Ebpf, program: &str) -> Result<Self, LiveError> {
        let nested = ebpf.take_map("NESTED_EVENTS").ok_or(LiveError::NoPart("NESTED_EVENTS"))?;
        let failed = |error| LiveError::Ring(io::Error::other(error));
        let nested = PerCpuArray::try_from(nested).map_err(failed)?;
        let info = info(ebpf, program);
        let mut misses = Self { info, nested, alone: 0, passed_over: 0, settled: 0, told: 0 };
        misses.alone = misses.nested().map_err(LiveError::Ring)?;
        Ok(misses)
    }

    /// What has been missed since this was asked last, to be told somewhere before what comes next. `settles`: what had been
    /// passed over at this question has been taken by the other program by now, if it is, and is told at once.
    pub fn lost(&mut self, settles: bool) -> io::Result<Option<Gap>> {
        let mut missed = self.new_ones()?;
        if settles {
            missed += self.new_ones()?;
        }
        Ok((missed > 0).then_some(Gap { count: missed, stage: "kernel" }))
    }

    fn nested(&self) -> io::Result<i64> {
        Ok(self.nested.get(&0, 0).map_err(io::Error::other)?.iter().sum())
    }

    /// How many there have been since this was asked last.
    fn new_ones(&mut self) -> io::Result<u64> {
        let Some(info) = &self.info else { return Ok(0) };
        let passed_over = passed_over(info)?;
        // What was passed over by the time before has been taken by the other program by now, if it was.
        let before = std::mem::replace(&mut self.passed_over, passed_over);
        if std::mem::replace(&mut self.settled, before) == before {
            return Ok(0);
        }
        let missed = before.saturating_add_signed(self.alone - self.nested()?);
        let new = missed.saturating_sub(self.told);
        self.told = self.told.max(missed);
        Ok(new)
    }
}

/// What the kernel says of the program of this name, which is loaded; `None` without /proc.
pub fn info(ebpf: &Ebpf, program: &str) -> Option<File> {
    let fd = ebpf.program(program)?.fd().ok()?;
    File::open(format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd())).ok()
}

/// How often it has passed over that program.
pub fn passed_over(info: &File) -> io::Result<u64> {
    let mut text = [0; 1024];
    let length = info.read_at(&mut text, 0)?;
    Ok(count(&String::from_utf8_lossy(&text[..length])))
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
    fn an_older_kernel_does_not_count_on_a_classic_tracepoint() {
        for release in ["5.10.0-45-cloud-amd64", "6.1.192", "6.6.114"] {
            assert!(unknown_on_classic(release).is_some(), "{release}");
        }
        for release in ["6.7.0-rc1", "6.12.117", "7.2.4", "unheard of"] {
            assert_eq!(unknown_on_classic(release), None, "{release}");
        }
    }

    #[test]
    fn the_count_is_one_line_of_many() {
        let info = "pos:\t0\nprog_type:\t26\nrun_cnt:\t5\nrecursion_misses:\t2\nverified_insns:\t9\n";
        assert_eq!(count(info), 2);
        assert_eq!(count("pos:\t0\nprog_type:\t26\n"), 0);
    }
}
