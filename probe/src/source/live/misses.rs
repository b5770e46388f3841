//! Events for which the kernel skipped the program.
//!
//! While a program runs on a CPU, the kernel does not run it again there: it skips the program for an event in a softirq
//! that interrupts it, and counts the skip since Linux 5.12. On the BTF tracepoint another program handles such events
//! (`probe-ebpf/src/reentry.rs`), and those are not lost. On a classic tracepoint no program can: there the kernel skips
//! every program while any program runs, or while a map is being accessed (`bpf_prog_active`). It counts that since Linux
//! 6.7.
//!
//! No program's count shows the events for which a kernel runs no program at all. A build of Linux 6.18 was observed to do
//! that: for events in interrupts while a thread of the host's first process was current, it ran the programs of neither
//! backend, nor perf's; tracefs's own trace had the events.

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

use super::error::LiveError;
use crate::model::kernel_version;

/// The name of the count in a program's fdinfo.
const COUNT: &str = "recursion_misses:";

/// The first kernel that counts skips on classic tracepoints (dd8657894c11).
const COUNTED_ON_CLASSIC: [u32; 2] = [6, 7];

/// What is unknown on a classic tracepoint of a kernel of this release, as a phrase for the user.
pub fn unknown_on_classic(release: &str) -> Option<&'static str> {
    let is_old = kernel_version(release).is_some_and(|version| version < COUNTED_ON_CLASSIC);
    is_old.then_some("how many events the kernel skipped while another BPF program ran (needs Linux 6.7)")
}

/// The skips of one program.
pub struct Misses {
    /// /proc/self/fdinfo of the program; `None` without /proc.
    info: Option<File>,
    /// How many of the skipped events the other program handled.
    nested: PerCpuArray<MapData, i64>,
    /// How many events the other program handled before this one was attached.
    nested_before: i64,
    /// The number of losses that were reported.
    reported: u64,
}

impl Misses {
    /// The skips of the loaded program of this name.
    ///
    /// # Errors
    /// The object lacks the map that counts handled events, or it cannot be read.
    pub fn of(ebpf: &mut Ebpf, program: &str) -> Result<Self, LiveError> {
        let nested = ebpf.take_map("NESTED_EVENTS").ok_or(LiveError::NoPart("NESTED_EVENTS"))?;
        let failed = |error| LiveError::Ring(io::Error::other(error));
        let nested = PerCpuArray::try_from(nested).map_err(failed)?;
        let info = info(ebpf, program);
        let mut misses = Self { info, nested, nested_before: 0, reported: 0 };
        misses.nested_before = misses.nested().map_err(LiveError::Ring)?;
        Ok(misses)
    }

    /// The number of events lost since the last call. It has those that were lost before the call: the other program
    /// counts an event that it handles before the kernel skips this one.
    ///
    /// # Errors
    /// A count cannot be read.
    pub fn lost(&mut self) -> io::Result<u64> {
        let Some(info) = &self.info else { return Ok(0) };
        let skipped = skipped(info)?;
        if skipped == 0 {
            return Ok(0);
        }
        // Read after the skips: each handled event among those is in the count.
        let lost = skipped.saturating_add_signed(self.nested_before - self.nested()?);
        let new = lost.saturating_sub(self.reported);
        self.reported = self.reported.max(lost);
        Ok(new)
    }

    fn nested(&self) -> io::Result<i64> {
        Ok(self.nested.get(&0, 0).map_err(io::Error::other)?.iter().sum())
    }
}

/// The fdinfo file of the loaded program of this name; `None` without /proc.
pub fn info(ebpf: &Ebpf, program: &str) -> Option<File> {
    let fd = ebpf.program(program)?.fd().ok()?;
    File::open(format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd())).ok()
}

/// How many times the kernel has skipped the program.
pub fn skipped(info: &File) -> io::Result<u64> {
    let mut text = [0; 1024];
    let length = info.read_at(&mut text, 0)?;
    Ok(count(&String::from_utf8_lossy(&text[..length])))
}

/// The count in the text of an fdinfo file; 0 before Linux 5.12, which has none.
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
    fn kernels_before_6_7_do_not_count_skips_on_classic_tracepoints() {
        for release in ["5.10.0-45-cloud-amd64", "6.1.192", "6.6.114"] {
            assert!(unknown_on_classic(release).is_some(), "{release}");
        }
        for release in ["6.7.0-rc1", "6.12.117", "7.2.4", "unheard of"] {
            assert_eq!(unknown_on_classic(release), None, "{release}");
        }
    }

    #[test]
    fn the_count_is_read_from_its_line() {
        let info = "pos:\t0\nprog_type:\t26\nrun_cnt:\t5\nrecursion_misses:\t2\nverified_insns:\t9\n";
        assert_eq!(count(info), 2);
        assert_eq!(count("pos:\t0\nprog_type:\t26\n"), 0);
    }
}
