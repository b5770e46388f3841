//! One machine, from its start to its end.

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

use super::{agreed, initramfs, kernel::Kernel, programs::Programs, qemu::Qemu};

/// How many of the console's last lines are shown where a machine did not come to its end.
const LINES_SHOWN: usize = 30;

/// How often the machine is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How machines are run.
#[derive(clap::Args)]
pub struct Options {
    /// Seconds until a machine is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub deadline: u64,
    /// Let the host's processor run the machine, which is faster; a host that is a machine itself may hang
    #[arg(long)]
    pub kvm: bool,
}

/// A machine that can be started.
pub struct Machine<'a> {
    /// Its kernel.
    pub kernel: &'a Kernel,
    pub(super) qemu: &'a Qemu,
    pub(super) programs: &'a Programs,
    /// Where its files lie on the host.
    pub(super) directory: PathBuf,
}

/// How a command ended.
pub struct Ended {
    /// Its exit code.
    pub code: u8,
    /// From the machine's start to the command's.
    pub boot: Duration,
    /// From there to the machine's end.
    pub command: Duration,
}

impl fmt::Display for Machine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel {}: Linux {}", self.kernel.name, self.kernel.release)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [boot, command] = [self.boot, self.command].map(|time| time.as_secs_f64());
        write!(f, "exit code {}; {boot:.1} s to boot, {command:.1} s for the command", self.code)
    }
}

impl Machine<'_> {
    /// The command's working directory: what lies in here goes into the machine, and comes back.
    pub fn files(&self) -> PathBuf {
        self.directory.join("files")
    }

    /// Runs a probe command in the machine. Its output goes to `stdout` and to this process's standard error as it
    /// comes; the files that it leaves in its working directory are in [`files`](Self::files) afterwards.
    pub fn run(
        &self,
        command: &[OsString],
        options: &Options,
        stdout: &mut (impl Write + Send),
    ) -> Result<Ended> {
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
            // QEMU's own messages are on the same standard error.
            (agreed::STDOUT, Path::new("/dev/stdout")),
            (agreed::STDERR, Path::new("/dev/stderr")),
            (agreed::ARCHIVE, &archive),
            (agreed::STATUS, &status),
        ];
        for (port, file) in ports {
            let chardev = format!("file,id={port},append=on,path={}", doubled(file));
            qemu.args(["-chardev", &chardev]);
            qemu.args(["-device", &format!("virtserialport,name={port},chardev={port}")]);
        }
        let begun = Instant::now();
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
            let deadline = begun + Duration::from_secs(options.deadline);
            wait(&mut child, deadline, || {
                if boot.is_none()
                    && fs::read_to_string(&status).is_ok_and(|told| told.starts_with(agreed::BEGUN))
                {
                    boot = Some(begun.elapsed());
                }
            })
        })?;
        let took = begun.elapsed();
        let told = fs::read_to_string(&status)?;
        let code = told.lines().nth(1).and_then(|code| code.parse().ok());
        let (Some(code), Some(exit)) = (code, exit) else {
            let text = fs::read(&console)?;
            bail!("{self}: {}", why(exit, options.deadline, boot.is_some(), &String::from_utf8_lossy(&text)));
        };
        ensure!(exit.success(), "the emulator failed: {exit}");
        tar::Archive::new(File::open(&archive)?)
            .unpack(self.files())
            .with_context(|| format!("could not unpack {}", archive.display()))?;
        let boot = boot.unwrap_or(took);
        Ok(Ended { code, boot, command: took.saturating_sub(boot) })
    }

    /// The machine without its ports.
    fn hardware(&self, options: &Options, initramfs: &Path, console: &Path) -> Result<Command> {
        let mut qemu = self.qemu.command()?;
        let (accelerator, cpu) = if options.kvm { ("kvm", "host") } else { ("tcg,thread=multi", "max") };
        qemu.args(["-accel", accelerator, "-cpu", cpu, "-smp", "2", "-m", "1024"])
            .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
            .arg("-kernel")
            .arg(&self.kernel.image)
            .arg("-initrd")
            .arg(initramfs)
            // A kernel that panics restarts at once, which ends the emulator.
            .args(["-append", "console=ttyS0 quiet panic=-1"])
            .args(["-chardev", &format!("file,id=console,path={}", doubled(console))])
            .args(["-serial", "chardev:console", "-device", "virtio-serial-pci"]);
        Ok(qemu)
    }
}

/// Why there is no exit code: by what became of the emulator, whether the command had begun, and the console.
fn why(exit: Option<ExitStatus>, deadline: u64, has_begun: bool, console: &str) -> String {
    let lines: Vec<&str> = console.lines().collect();
    let panicked = lines.iter().any(|line| line.contains("Kernel panic"));
    let how = match exit {
        None => format!("it was given up after {deadline} s"),
        Some(_) if panicked => "it panicked".to_owned(),
        Some(exit) => format!("it ended without an exit code ({exit})"),
    };
    let when = if has_begun { "while the command ran" } else { "before the command began" };
    let last = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
    let said = if last.is_empty() { " nothing".to_owned() } else { format!("\n{}", last.join("\n")) };
    format!("{how}, {when}. Its console said at last:{said}")
}

/// A path as QEMU's options take it, where a comma ends a value unless it is doubled.
fn doubled(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// Waits for the emulator's end, looking at it again and again; `None` where it was ended at the deadline.
fn wait(child: &mut Child, deadline: Instant, mut look: impl FnMut()) -> Result<Option<ExitStatus>> {
    loop {
        look();
        if let Some(exit) = child.try_wait()? {
            return Ok(Some(exit));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn what_became_of_a_machine_is_said_with_the_consoles_last_lines() {
        let exited = Some(ExitStatus::from_raw(0));
        let late = why(None, 9, true, "");
        assert_eq!(
            late,
            "it was given up after 9 s, while the command ran. Its console said at last: nothing"
        );
        let long: String = (0..100).map(|number| format!("line {number}\n")).collect();
        let ended = why(exited, 9, false, &long);
        assert!(ended.starts_with("it ended without an exit code (exit status: 0), before"), "{ended}");
        assert!(ended.contains("line 99") && ended.contains("line 70") && !ended.contains("line 69"));
        let panicked = why(exited, 9, false, "[    1.0] Kernel panic - not syncing: no init\n");
        assert!(panicked.starts_with("it panicked, before the command began."), "{panicked}");
    }

    #[test]
    fn a_comma_in_a_path_ends_no_option() {
        assert_eq!(doubled(Path::new("/a,b/c")), "/a,,b/c");
    }
}
