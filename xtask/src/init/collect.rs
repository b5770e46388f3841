//! What the running kernel says about its interface, as it says it. The host reads it.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context as _, Result, bail};
use nix::sched::{CloneFlags, unshare};

use crate::protocol;

/// Directories below /proc/sys, each with the prefixes of the sysctls to read.
const SYSCTLS: &[(&str, &[&str])] = &[("net/ipv4", &["tcp_", "ip_local_"]), ("net/mptcp", &[""])];

/// The subsystems of tracefs.
const SUBSYSTEMS: &[&str] = &["sock", "tcp", "mptcp", "skb"];

/// Copies everything into this directory.
pub fn collect(directory: &Path) -> Result<()> {
    let events = directory.join(protocol::EVENTS);
    fs::create_dir_all(&events)?;
    fs::copy("/proc/sys/kernel/version", directory.join(protocol::VERSION)).context("the build")?;
    let sysctls = sysctls()?;
    let lines = |of: &dyn Fn(&Sysctl) -> Option<String>| {
        sysctls.iter().filter_map(|one| Some(format!("{} = {}\n", one.name, of(one)?))).collect::<String>()
    };
    fs::write(directory.join(protocol::SYSCTLS), lines(&|one| Some(one.value.clone())))?;
    // In a network namespace of its own, so that whatever runs next finds the defaults.
    let ranges = thread::scope(|scope| {
        let in_namespace = || {
            unshare(CloneFlags::CLONE_NEWNET).context("making a network namespace")?;
            Ok(lines(&|one| one.range().map(|(least, greatest)| format!("{least} {greatest}"))))
        };
        scope.spawn(in_namespace).join().unwrap_or_else(|_| bail!("the thread panicked"))
    });
    fs::write(directory.join(protocol::RANGES), ranges.context("the sysctls' ranges")?)?;
    fs::copy("/sys/kernel/btf/vmlinux", directory.join(protocol::TYPES)).context("the type information")?;
    for subsystem in SUBSYSTEMS {
        let all = Path::new("/sys/kernel/tracing/events").join(subsystem);
        for name in existing(fs::read_dir(&all))?.into_iter().flatten() {
            let name = name?.file_name();
            // Beside the events are the subsystem's own files.
            if let Some(format) = existing(fs::read(all.join(&name).join("format")))? {
                let to = events.join(subsystem);
                fs::create_dir_all(&to)?;
                fs::write(to.join(name), format)?;
            }
        }
    }
    Ok(())
}

/// A sysctl with its value.
struct Sysctl {
    name: String,
    path: PathBuf,
    value: String,
}

/// The sysctls that can be read, in no order.
fn sysctls() -> Result<Vec<Sysctl>> {
    let mut all = Vec::new();
    for (directory, prefixes) in SYSCTLS {
        let at = Path::new("/proc/sys").join(directory);
        for entry in existing(fs::read_dir(&at))?.into_iter().flatten() {
            let (name, path) = {
                let entry = entry?;
                (entry.file_name().to_string_lossy().into_owned(), entry.path())
            };
            if !prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            // Some can only be written, and some are directories.
            let Ok(value) = fs::read_to_string(&path) else { continue };
            let words: Vec<&str> = value.split_whitespace().collect();
            let name = format!("{}.{name}", directory.replace('/', "."));
            all.push(Sysctl { name, path, value: words.join(" ") });
        }
    }
    Ok(all)
}

impl Sysctl {
    /// The least and the greatest accepted number, found by writing; `None` where the value is no number, or where the
    /// thread's network namespace has no such sysctl.
    fn range(&self) -> Option<(i64, i64)> {
        let default: i64 = self.value.parse().ok()?;
        let accepts = |value: i64| fs::write(&self.path, value.to_string()).is_ok();
        if !accepts(default) {
            return None;
        }
        let range = (bound(default, i32::MIN.into(), accepts), bound(default, u32::MAX.into(), accepts));
        accepts(default).then_some(range)
    }
}

/// The accepted number that is nearest to `limit`, where all between it and `good` are accepted.
fn bound(mut good: i64, limit: i64, accepts: impl Fn(i64) -> bool) -> i64 {
    let mut bad = limit + (limit - good).signum();
    while (bad - good).abs() > 1 {
        let middle = i64::midpoint(good, bad);
        *(if accepts(middle) { &mut good } else { &mut bad }) = middle;
    }
    good
}

/// `None` where this kernel lacks the file.
fn existing<T>(result: io::Result<T>) -> Result<Option<T>> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        other => Ok(Some(other?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_the_last_accepted_number() {
        let limits = (i32::MIN.into(), u32::MAX.into());
        for (least, greatest, default) in [(0, 5, 2), (-1, 1, 0), (7, 7, 7), (limits.0, limits.1, 60)] {
            let accepts = |value| (least..=greatest).contains(&value);
            let found = (bound(default, limits.0, accepts), bound(default, limits.1, accepts));
            assert_eq!(found, (least, greatest));
        }
    }
}
