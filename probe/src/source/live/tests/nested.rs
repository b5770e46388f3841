//! Events in an interrupt while a program runs on the same CPU.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::*;
use crate::model::LossStage;

/// How many such events to wait for: enough to know the lost fraction to about one in a hundred.
const ENOUGH: u64 = 1000;

/// The time limit for that.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Makes each CPU pass packets to the other one by interrupts (RPS), as a network card would: without it, the CPU that sends
/// a packet on loopback also receives it, and nothing interrupts the program. The setting is in the namespace's own sysfs.
fn enable_rps(inside: &Namespace) {
    let set = "mount -t sysfs none /sys && echo 3 > /sys/class/net/lo/queues/rx-0/rps_cpus";
    let mut shell = Command::new("unshare");
    let status = inside.enter(|| shell.args(["--mount", "sh", "-c", set]).status()).unwrap().unwrap();
    assert!(status.success(), "cannot enable RPS");
}

/// Two threads that open connections as fast as they can, until this is dropped.
struct Load {
    is_stopped: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(inside: &Namespace) -> Self {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let threads = [PORT, PORT + 1].map(|port| {
            let (inside, is_stopped) = (inside.clone(), Arc::clone(&is_stopped));
            thread::spawn(move || inside.enter(|| Self::connect_in_a_loop(port, &is_stopped)).unwrap())
        });
        Self { is_stopped, threads: threads.into() }
    }

    fn connect_in_a_loop(port: u16, is_stopped: &AtomicBool) {
        let listener = Tcp::listening(loopback(port)).unwrap();
        while !is_stopped.load(Ordering::Relaxed) {
            let client = Tcp::new(Family::Ipv4).unwrap();
            client.connect(loopback(port), deadline()).unwrap();
            drop(listener.accept(deadline()).unwrap());
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

/// How many times the kernel has skipped the program that reports transitions.
fn skipped(live: &Live) -> u64 {
    let info = misses::info(&live.ebpf, load::transition_program(Backend::TpBtf)).unwrap();
    misses::skipped(&info).unwrap()
}

fn lost_in_kernel(events: &[Input]) -> u64 {
    let count = |event: &Input| match event {
        Input::Lost { count, stage: LossStage::Kernel } => *count,
        _ => 0,
    };
    events.iter().map(count).sum()
}

/// The kernel skips a program that is already running on the CPU. Needs two CPUs.
#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn most_events_in_an_interrupt_are_reported() {
    let ring_bytes = Some(64 << 20);
    let mut live =
        attach(&LiveOptions { backend: Some(Backend::TpBtf), ring_bytes, ..LiveOptions::default() });
    let inside = Namespace::private().unwrap();
    enable_rps(&inside);
    let before = skipped(&live);
    let (load, deadline) = (Load::start(&inside), Instant::now() + TIME_LIMIT);
    let (mut events, mut lost) = (Vec::new(), 0);
    while skipped(&live) < before + ENOUGH {
        assert!(Instant::now() < deadline, "only {} events in an interrupt", skipped(&live) - before);
        live.deliver(&mut events).await.unwrap();
        lost += lost_in_kernel(&events);
        events.clear();
    }
    drop(load);
    live.drain(&mut events).unwrap();
    lost += lost_in_kernel(&events);
    let nested = skipped(&live) - before;
    // Lost are only the events between a program's last instruction and its return. The shorter the program, the larger is
    // their share of the events in an interrupt: 6 in 100 on an idle host, 11 while a compiler runs.
    assert!(lost * 5 <= nested, "{lost} lost of {nested} events in an interrupt");
}
