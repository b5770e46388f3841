//! What comes in an interrupt while a program runs on that CPU.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::*;

/// So many such events are enough to see what part of them is lost: give or take one in a hundred.
const ENOUGH: u64 = 1000;

/// How long they may take to come.
const LONG: Duration = Duration::from_secs(60);

/// Has each CPU hand packets on to the other one, as a network card does, by interrupts: on loopback they stay where they are
/// sent, and nothing comes in between. The device's settings are where this namespace's sysfs is mounted.
fn hand_on(inside: &Namespace) {
    let set = "mount -t sysfs none /sys && echo 3 > /sys/class/net/lo/queues/rx-0/rps_cpus";
    let mut shell = Command::new("unshare");
    let status = inside.enter(|| shell.args(["--mount", "sh", "-c", set]).status()).unwrap().unwrap();
    assert!(status.success(), "packets cannot be handed on");
}

/// Connections as fast as two threads make them, until this goes.
struct Storm {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Storm {
    fn begin(inside: &Namespace) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let threads = [PORT, PORT + 1].map(|port| {
            let (inside, is_over) = (inside.clone(), Arc::clone(&is_over));
            thread::spawn(move || inside.enter(|| Self::rage(port, &is_over)).unwrap())
        });
        Self { is_over, threads: threads.into() }
    }

    fn rage(port: u16, is_over: &AtomicBool) {
        let listener = Tcp::listening(loopback(port)).unwrap();
        while !is_over.load(Ordering::Relaxed) {
            let client = Tcp::new(Family::Ipv4).unwrap();
            client.connect(loopback(port), soon()).unwrap();
            drop(listener.accept(soon()).unwrap());
        }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

/// How often the kernel has passed over the program that reports transitions.
fn passed_over(live: &Live) -> u64 {
    let info = misses::info(&live.ebpf, load::transition(Backend::TpBtf)).unwrap();
    misses::passed_over(&info).unwrap()
}

fn lost_in_kernel(events: &[Input]) -> u64 {
    let count = |event: &Input| match event {
        Input::Lost { count, stage } if stage == "kernel" => *count,
        _ => 0,
    };
    events.iter().map(count).sum()
}

/// The kernel does not run a program that is running on the CPU already; it takes two CPUs for that.
#[tokio::test]
#[cfg_attr(feature = "unprivileged", ignore = "needs root")]
async fn what_comes_in_an_interrupt_is_taken() {
    let ring_bytes = Some(64 << 20);
    let mut live =
        attach(&LiveOptions { backend: Some(Backend::TpBtf), ring_bytes, ..LiveOptions::default() });
    let inside = Namespace::private().unwrap();
    hand_on(&inside);
    let before = passed_over(&live);
    let (storm, deadline) = (Storm::begin(&inside), Instant::now() + LONG);
    let (mut events, mut lost) = (Vec::new(), 0);
    while passed_over(&live) < before + ENOUGH {
        assert!(Instant::now() < deadline, "{} have come in an interrupt", passed_over(&live) - before);
        live.deliver(&mut events).await.unwrap();
        lost += lost_in_kernel(&events);
        events.clear();
    }
    drop(storm);
    live.drain(&mut events).unwrap();
    lost += lost_in_kernel(&events);
    let nested = passed_over(&live) - before;
    // Only what comes in the moment between a program's last instruction and its end. The shorter the program, the greater a part
    // of what comes in an interrupt that is: 6 in 100 on a quiet host, 11 beside a compiler.
    assert!(lost * 5 <= nested, "{lost} lost of {nested} that came in an interrupt");
}
