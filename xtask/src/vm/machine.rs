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

/// Options for running machines.
#[derive(clap::Args)]
pub struct Options {
    /// Kill a machine after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
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

/// The outcome of a command.
pub struct Outcome {
    /// Its exit code.
    pub code: u8,
    /// Time from the machine's start to the command's.
    pub boot: Duration,
    /// Time from there to the machine's exit.
    pub command: Duration,
}

impl fmt::Display for Machine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel {}: Linux {}", self.kernel.name, self.kernel.release)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [boot, command] = [self.boot, self.command].map(|time| time.as_secs_f64());
        write!(f, "exit code {}; {boot:.1} s to boot, {command:.1} s for the command", self.code)
    }
}

impl Machine<'_> {
    /// The command's working directory: copied into the guest, and back afterwards.
    pub fn files(&self) -> PathBuf {
        self.directory.join("files")
    }

    /// Runs a probe command in the machine. Its output goes to `stdout` and to this process's standard error as it is
    /// written; its working directory is in [`files`](Self::files) afterwards.
    pub fn run(
        &self,
        command: &[OsString],
        options: &Options,
        stdout: &mut (impl Write + Send),
    ) -> Result<Outcome> {
        let at = |name: &str| self.directory.join(name);
        let (initramfs, archive, status, console) =
            (at("initramfs"), at("archive.tar"), at("status"), at("console.log"));
        fs::create_dir_all(self.files())?;
        for old in [&archive, &status, &console] {
            File::create(old).with_context(|| format!("could not write {}", old.display()))?;
        }
        let words: Vec<OsString> =
            [OsString::from("probe")].into_iter().chain(command.iter().cloned()).collect();
        initramfs::write(&initramfs, self.kernel, self.programs, &words, &self.files())?;
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
            scope.spawn(|| err.as_mut().map(|err| io::copy(err, &mut io::stderr())));
            let deadline = started + Duration::from_secs(options.deadline);
            wait(&mut child, deadline, || {
                if boot.is_none()
                    && fs::read_to_string(&status).is_ok_and(|text| text.starts_with(protocol::STARTED))
                {
                    boot = Some(started.elapsed());
                }
            })
        })?;
        let took = started.elapsed();
        let report = fs::read_to_string(&status)?;
        let code = report.lines().nth(1).and_then(|code| code.parse().ok());
        let (Some(code), Some(exit)) = (code, exit) else {
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
        let boot = boot.unwrap_or(took);
        Ok(Outcome { code, boot, command: took.saturating_sub(boot) })
    }

    /// The machine's hardware except its ports.
    fn hardware(&self, options: &Options, initramfs: &Path, console: &Path) -> Result<Command> {
        let mut qemu = self.qemu.command()?;
        let (accelerator, cpu) = if options.kvm { ("kvm", "host") } else { ("tcg,thread=multi", "max") };
        qemu.args(["-accel", accelerator, "-cpu", cpu, "-smp", "2", "-m", "1024"])
            .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
            .arg("-kernel")
            .arg(&self.kernel.image)
            .arg("-initrd")
            .arg(initramfs)
            // A panicking kernel reboots at once, which makes the emulator exit (-no-reboot).
            .args(["-append", "console=ttyS0 quiet panic=-1"])
            .args(["-chardev", &format!("file,id=console,path={}", escaped(console))])
            .args(["-serial", "chardev:console", "-device", "virtio-serial-pci"]);
        Ok(qemu)
    }
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
    fn commas_in_paths_are_doubled() {
        assert_eq!(escaped(Path::new("/a,b/c")), "/a,,b/c");
    }
}
