//! One virtual machine, from start to exit.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{initramfs, kernel::Kernel, programs::Programs, protocol, qemu::Qemu};

/// Console lines to show when a machine fails.
const LINES_SHOWN: usize = 30;

/// Polling interval.
const POLL: Duration = Duration::from_millis(20);

/// Memory of a machine in MiB, and roughly what the emulator takes beside it.
const MEMORY: u64 = 1024;
const OVERHEAD: u64 = 256;

/// CPUs of a machine.
const CPUS: usize = 2;

/// The number of machines that this host can run at once: at least one.
pub fn at_once() -> usize {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = available(&meminfo).unwrap_or(0) / (MEMORY + OVERHEAD);
    let cpus = thread::available_parallelism().map_or(1, usize::from) / CPUS;
    usize::try_from(available).unwrap_or(usize::MAX).min(cpus).max(1)
}

/// The available memory in MiB.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib / 1024)
}

/// Options for running machines.
#[derive(clap::Args)]
pub struct Options {
    /// Kill a machine after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub deadline: u64,
    /// Use KVM, which is faster; nested virtualisation may hang
    #[arg(long)]
    pub kvm: bool,
}

/// A virtual machine that can be started.
pub struct Machine<'a> {
    /// Its kernel.
    pub kernel: &'a Kernel,
    pub(super) qemu: &'a Qemu,
    pub(super) programs: &'a Programs,
    /// Its directory on the host.
    pub(super) directory: PathBuf,
}

/// The outcome of a machine's commands.
pub struct Outcome {
    /// Time from the machine's start to the first command's.
    pub boot: Duration,
    /// Time from the machine's start to its exit.
    pub total: Duration,
    /// Exit code and duration of each command.
    pub commands: Vec<(u8, Duration)>,
}

impl fmt::Display for Machine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel {}: Linux {}", self.kernel.name, self.kernel.release)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command: Duration = self.commands.iter().map(|(_, took)| *took).sum();
        let [boot, command] = [self.boot, command].map(|time| time.as_secs_f64());
        write!(f, "exit code {}; {boot:.1} s to boot, {command:.1} s for the command", self.code())
    }
}

impl Outcome {
    /// The first exit code that is not 0.
    pub fn code(&self) -> u8 {
        self.commands.iter().map(|(code, _)| *code).find(|code| *code != 0).unwrap_or(0)
    }
}

impl Machine<'_> {
    /// The programs in it.
    pub fn programs(&self) -> &Programs {
        self.programs
    }

    /// The commands' working directory: copied into the guest, and back afterwards.
    pub fn files(&self) -> PathBuf {
        self.directory.join("files")
    }

    /// Runs commands in the machine, each given by its words. Their output goes to `stdout` and `stderr` as it is written;
    /// their working directory is in [`files`](Self::files) afterwards.
    pub fn run(
        &self,
        commands: &[Vec<OsString>],
        options: &Options,
        stdout: &mut (impl Write + Send),
        stderr: &mut (impl Write + Send),
    ) -> Result<Outcome> {
        let at = |name: &str| self.directory.join(name);
        let (initramfs, archive, status, console) =
            (at("initramfs"), at("archive.tar"), at("status"), at("console.log"));
        fs::create_dir_all(self.files())?;
        for old in [&archive, &status, &console] {
            File::create(old).with_context(|| format!("could not write {}", old.display()))?;
        }
        initramfs::write(&initramfs, self.kernel, self.programs, commands, &self.files())?;
        let mut qemu = self.hardware(options, &initramfs, &console)?;
        let ports = [
            // QEMU's own messages share this standard error.
            (protocol::STDOUT, Path::new("/dev/stdout")),
            (protocol::STDERR, Path::new("/dev/stderr")),
            (protocol::ARCHIVE, &archive),
            (protocol::STATUS, &status),
        ];
        for (port, file) in ports {
            let chardev = format!("file,id={port},append=on,path={}", escaped(file));
            qemu.args(["-chardev", &chardev]);
            qemu.args(["-device", &format!("virtserialport,name={port},chardev={port}")]);
        }
        let started = Instant::now();
        let mut child = qemu
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("could not start the emulator")?;
        let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
        let mut boot = None;
        let exit = thread::scope(|scope| {
            scope.spawn(|| out.as_mut().map(|out| io::copy(out, stdout)));
            scope.spawn(|| err.as_mut().map(|err| io::copy(err, stderr)));
            let deadline = started + Duration::from_secs(options.deadline);
            wait(&mut child, deadline, || {
                if boot.is_none()
                    && fs::read_to_string(&status).is_ok_and(|text| text.starts_with(protocol::STARTED))
                {
                    boot = Some(started.elapsed());
                }
            })
        })?;
        let total = started.elapsed();
        let finished = finished(&fs::read_to_string(&status)?);
        let (Some(commands), Some(exit)) = (finished, exit) else {
            let text = fs::read(&console)?;
            bail!(
                "{self}: {}",
                failure(exit, options.deadline, boot.is_some(), &String::from_utf8_lossy(&text))
            );
        };
        ensure!(exit.success(), "the emulator failed: {exit}");
        tar::Archive::new(File::open(&archive)?)
            .unpack(self.files())
            .with_context(|| format!("could not unpack {}", archive.display()))?;
        Ok(Outcome { boot: boot.unwrap_or(total), total, commands })
    }

    /// The machine's hardware except its ports.
    fn hardware(&self, options: &Options, initramfs: &Path, console: &Path) -> Result<Command> {
        let mut qemu = self.qemu.command()?;
        let (accelerator, cpu) = if options.kvm { ("kvm", "host") } else { ("tcg,thread=multi", "max") };
        qemu.args(["-accel", accelerator, "-cpu", cpu])
            .args(["-smp", &CPUS.to_string(), "-m", &MEMORY.to_string()])
            .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
            .arg("-kernel")
            .arg(&self.kernel.image)
            .arg("-initrd")
            .arg(initramfs)
            // A panicking kernel reboots at once, which makes the emulator exit (-no-reboot). Modules must be signed by the
            // kernel's own build. The kernel would panic where a busy host delays the interrupts of the timer that it tries
            // out at boot.
            .args(["-append", "console=ttyS0 quiet panic=-1 module.sig_enforce=1 no_timer_check"])
            .args(["-chardev", &format!("file,id=console,path={}", escaped(console))])
            .args(["-serial", "chardev:console", "-device", "virtio-serial-pci"]);
        Ok(qemu)
    }
}

/// Exit code and duration of each command; `None` where the guest did not get to the end.
fn finished(status: &str) -> Option<Vec<(u8, Duration)>> {
    let lines: Vec<&str> = status.lines().collect();
    let [protocol::STARTED, commands @ .., protocol::ARCHIVED] = lines.as_slice() else { return None };
    let one = |line: &&str| -> Option<(u8, Duration)> {
        let (code, took) = line.split_once(' ')?;
        Some((code.parse().ok()?, Duration::from_millis(took.parse().ok()?)))
    };
    commands.iter().map(one).collect()
}

/// Why there is no exit code, from the emulator's exit, whether the command had started, and the console.
fn failure(exit: Option<ExitStatus>, deadline: u64, has_started: bool, console: &str) -> String {
    let lines: Vec<&str> = console.lines().collect();
    let panicked = lines.iter().any(|line| line.contains("Kernel panic"));
    let how = match exit {
        None => format!("it was killed after {deadline} s"),
        Some(_) if panicked => "it panicked".to_owned(),
        Some(exit) => format!("it exited without an exit code of the command ({exit})"),
    };
    let when = if has_started { "while the command ran" } else { "before the command started" };
    let last = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
    let shown = if last.is_empty() { " none".to_owned() } else { format!("\n{}", last.join("\n")) };
    format!("{how}, {when}. Last lines of its console:{shown}")
}

/// A path in QEMU option syntax, where commas are doubled.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// Waits until the emulator exits, calling `poll` repeatedly; `None` if it was killed at the deadline.
fn wait(child: &mut Child, deadline: Instant, mut poll: impl FnMut()) -> Result<Option<ExitStatus>> {
    loop {
        poll();
        if let Some(exit) = child.try_wait()? {
            return Ok(Some(exit));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn a_failure_names_the_reason_and_the_consoles_last_lines() {
        let exited = Some(ExitStatus::from_raw(0));
        let late = failure(None, 9, true, "");
        assert_eq!(late, "it was killed after 9 s, while the command ran. Last lines of its console: none");
        let long: String = (0..100).map(|number| format!("line {number}\n")).collect();
        let ended = failure(exited, 9, false, &long);
        assert!(
            ended.starts_with("it exited without an exit code of the command (exit status: 0), before"),
            "{ended}"
        );
        assert!(ended.contains("line 99") && ended.contains("line 70") && !ended.contains("line 69"));
        let panicked = failure(exited, 9, false, "[    1.0] Kernel panic - not syncing: no init\n");
        assert!(panicked.starts_with("it panicked, before the command started."), "{panicked}");
    }

    #[test]
    fn a_run_is_finished_once_the_archive_is_complete() {
        let all = finished("started\n0 1500\n1 20\narchived\n");
        assert_eq!(all, Some(vec![(0, Duration::from_millis(1500)), (1, Duration::from_millis(20))]));
        assert_eq!(finished("started\n0 1500\n"), None);
        assert_eq!(finished(""), None);
    }

    #[test]
    fn the_available_memory_is_read_in_mebibytes() {
        assert_eq!(available("MemTotal:  9000 kB\nMemAvailable:   2097152 kB\n"), Some(2048));
        assert_eq!(available(""), None);
    }

    #[test]
    fn commas_in_paths_are_doubled() {
        assert_eq!(escaped(Path::new("/a,b/c")), "/a,,b/c");
    }
}
