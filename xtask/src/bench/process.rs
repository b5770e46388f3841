//! A process as /proc shows it: CPU time, memory, and the BPF programs it holds.

use std::{fs, io, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use nix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC in nanoseconds: comparable between processes.
pub fn monotonic_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |now| now.tv_sec().unsigned_abs() * 1_000_000_000 + now.tv_nsec().unsigned_abs())
}

/// A process by its id.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub u32);

/// A BPF program that a process holds, with the kernel's run statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// `prog_id`
    pub id: u64,
    /// Runs while statistics were enabled (`run_cnt`).
    pub runs: u64,
    /// Total time of these runs in nanoseconds (`run_time_ns`).
    pub run_ns: u64,
}

impl Process {
    fn path(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.0)).join(name)
    }

    /// User and system CPU time of its live threads, with nanosecond resolution (`schedstat`).
    pub fn cpu(self) -> Result<Duration> {
        let times: Vec<u64> = self.of_threads("schedstat", |text| text.split(' ').next()?.parse().ok())?;
        ensure!(
            !times.is_empty(),
            "this kernel has no schedstat (CONFIG_SCHED_INFO), or the process has exited"
        );
        Ok(Duration::from_nanos(times.into_iter().sum()))
    }

    /// Whether any of its threads is running or runnable.
    pub fn is_runnable(self) -> Result<bool> {
        // The state follows the name, which may contain any character.
        let states = self.of_threads("stat", |text| text.rsplit_once(") ")?.1.chars().next())?;
        Ok(states.contains(&'R'))
    }

    /// Reads a file of each thread; threads that exit meanwhile are skipped.
    fn of_threads<T>(self, file: &str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
        let threads = fs::read_dir(self.path("task"))?.filter_map(io::Result::ok);
        let texts = threads.filter_map(|thread| fs::read_to_string(thread.path().join(file)).ok());
        Ok(texts.filter_map(|text| read(&text)).collect())
    }

    /// Peak (`VmHWM`) or current (`VmRSS`) resident memory in bytes.
    pub fn memory(self, field: Memory) -> Result<u64> {
        let status = fs::read_to_string(self.path("status"))?;
        let name = match field {
            Memory::Most => "VmHWM:",
            Memory::Now => "VmRSS:",
        };
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().split(' ').next()?.parse::<u64>().ok());
        kilobytes.map(|kilobytes| kilobytes * 1024).with_context(|| format!("no {name} in its status"))
    }

    /// The BPF programs that it holds, without duplicates.
    pub fn programs(self) -> Result<Vec<Program>> {
        let mut programs = Vec::new();
        for descriptor in fs::read_dir(self.path("fdinfo"))? {
            match fs::read_to_string(descriptor?.path()) {
                Ok(text) => programs.extend(program(&text)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        programs.sort_by_key(|program| program.id);
        programs.dedup_by_key(|program| program.id);
        Ok(programs)
    }

    /// Whether it has attached a BPF program or a perf event.
    pub fn is_attached(self) -> bool {
        let is_perf = |link: PathBuf| link.to_string_lossy().contains("[perf_event]");
        let links = fs::read_dir(self.path("fd")).into_iter().flatten().flatten();
        let has_perf = links.filter_map(|entry| fs::read_link(entry.path()).ok()).any(is_perf);
        has_perf || self.programs().is_ok_and(|programs| !programs.is_empty())
    }
}

/// Which memory figure to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// The peak.
    Most,
    /// The current value.
    Now,
}

/// The BPF program that an fdinfo describes, if any (`bpf_prog_show_fdinfo`).
fn program(fdinfo: &str) -> Option<Program> {
    let value = |name: &str| {
        fdinfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok())
    };
    // A link's fdinfo has a prog_id as well.
    value("prog_type")?;
    Some(Program { id: value("prog_id")?, runs: value("run_cnt")?, run_ns: value("run_time_ns")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_distinguished_from_a_link() {
        let text = "pos:\t0\nflags:\t02000002\nprog_type:\t26\nprog_jited:\t1\nprog_tag:\tab12\nmemlock:\t4096\n\
                    prog_id:\t71\nrun_time_ns:\t5100\nrun_cnt:\t10\nrecursion_misses:\t0\n";
        assert_eq!(program(text), Some(Program { id: 71, runs: 10, run_ns: 5100 }));
        assert_eq!(program("link_type:\ttracing\nlink_id:\t3\nprog_tag:\tab12\nprog_id:\t71\n"), None);
        assert_eq!(program("pos:\t0\n"), None);
    }

    #[test]
    fn this_process_runs_and_has_memory() {
        let this = Process(std::process::id());
        assert!(this.cpu().unwrap() > Duration::ZERO);
        let (most, now) = (this.memory(Memory::Most).unwrap(), this.memory(Memory::Now).unwrap());
        assert!(most > 100_000 && now > 100_000, "{most} {now}");
        assert!(!this.is_attached());
        assert!(this.is_runnable().unwrap(), "the calling thread is running");
    }
}
