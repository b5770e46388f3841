//! Two calls at the same moment, on two CPUs.

use std::{
    hint,
    panic::resume_unwind,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crate::os::cpu;

/// Runs both calls as close to the same moment as the machine allows, and returns their results. If the
/// process may use one CPU only, they run one after the other.
///
/// # Panics
/// If either call panics.
pub(super) fn race<T: Send>(one: impl FnOnce() -> T + Send, other: impl FnOnce() -> T + Send) -> [T; 2] {
    let barrier = SpinBarrier::default();
    let cpus = cpu::allowed().unwrap_or_default();
    thread::scope(|scope| {
        let one = scope.spawn(|| barrier.call_on(cpus.first(), one));
        let other = scope.spawn(|| barrier.call_on(cpus.get(1), other));
        [one, other].map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Releases two threads within nanoseconds of each other. A barrier that sleeps would wake them one after the
/// other.
#[derive(Default)]
struct SpinBarrier(AtomicUsize);

impl SpinBarrier {
    /// Iterations before yielding the CPU to another thread.
    const SPINS: usize = 10_000;

    /// Pins the thread to `cpu`, waits for the other thread and runs `call`.
    fn call_on<T>(&self, cpu: Option<&usize>, call: impl FnOnce() -> T) -> T {
        if let Some(cpu) = cpu {
            // If pinning fails, both threads may share a CPU, which only makes crossing less likely.
            cpu::pin_to(*cpu).ok();
        }
        self.wait();
        call()
    }

    fn wait(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        for spin in 1.. {
            if self.0.load(Ordering::SeqCst) >= 2 {
                return;
            }
            if spin % Self::SPINS == 0 { thread::yield_now() } else { hint::spin_loop() }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn the_barrier_releases_two_threads() {
        let (barrier, released) = (SpinBarrier::default(), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                released.store(true, Ordering::SeqCst);
            });
            while barrier.0.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            assert!(!released.load(Ordering::SeqCst));
            barrier.wait();
        });
        assert!(released.into_inner());
    }

    #[test]
    fn the_results_are_in_the_order_of_the_calls() {
        assert_eq!(race(|| "one", || "other"), ["one", "other"]);
    }
}
