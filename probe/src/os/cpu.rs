//! The CPU affinity of threads.

use std::io;

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// The calling thread, for sched(7) calls.
const THIS_THREAD: Pid = Pid::from_raw(0);

/// The CPUs that the calling thread may run on, by number.
///
/// # Errors
/// sched_getaffinity(2)'s: the machine has more CPUs than a `cpu_set_t` holds.
pub fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(THIS_THREAD)?;
    Ok((0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).is_ok_and(|set| set)).collect())
}

/// Pins the calling thread to one CPU.
///
/// # Errors
/// sched_setaffinity(2)'s: the CPU is not among the [`allowed`] ones.
pub fn pin_to(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(THIS_THREAD, &set)?)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_can_be_pinned() {
        let before = allowed().unwrap();
        let last = *before.last().unwrap();
        let after = thread::spawn(move || {
            pin_to(last).unwrap();
            allowed().unwrap()
        });
        assert_eq!(after.join().unwrap(), [last]);
        assert_eq!(allowed().unwrap(), before);
        assert!(pin_to(CpuSet::count()).is_err());
    }
}
