//! Two calls at the same moment, each on a CPU of its own.

use std::{
    hint,
    panic::resume_unwind,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crate::os::cpu;

/// Runs both at the same moment, as nearly as the machine can, and returns what they return. Where
/// this process has but one CPU, they run one after the other.
///
/// # Panics
/// With the panic of either.
pub(super) fn race<T: Send>(one: impl FnOnce() -> T + Send, other: impl FnOnce() -> T + Send) -> [T; 2] {
    let gate = Gate::default();
    let cpus = cpu::allowed().unwrap_or_default();
    thread::scope(|scope| {
        let one = scope.spawn(|| gate.pass_on(cpus.first(), one));
        let other = scope.spawn(|| gate.pass_on(cpus.get(1), other));
        [one, other].map(|runner| runner.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Lets two threads go on within nanoseconds of each other. A barrier that sleeps would wake them one
/// after the other.
#[derive(Default)]
struct Gate(AtomicUsize);

impl Gate {
    /// How often to look before another thread may have the CPU.
    const LOOKS: usize = 10_000;

    fn pass_on<T>(&self, cpu: Option<&usize>, call: impl FnOnce() -> T) -> T {
        if let Some(cpu) = cpu {
            // A thread that may not, and shares the other's CPU, lowers the odds and no more.
            cpu::pin_to(*cpu).ok();
        }
        self.pass();
        call()
    }

    fn pass(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        for look in 1.. {
            if self.0.load(Ordering::SeqCst) >= 2 {
                return;
            }
            if look % Self::LOOKS == 0 { thread::yield_now() } else { hint::spin_loop() }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn the_gate_opens_for_two() {
        let (gate, through) = (Gate::default(), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                gate.pass();
                through.store(true, Ordering::SeqCst);
            });
            while gate.0.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            assert!(!through.load(Ordering::SeqCst));
            gate.pass();
        });
        assert!(through.into_inner());
    }

    #[test]
    fn what_both_return_comes_in_order() {
        assert_eq!(race(|| "one", || "other"), ["one", "other"]);
    }
}
