//! The first process of a test kernel: it sets the machine up, runs one command, hands back what that wrote, and turns
//! the machine off. What goes wrong before is told on the console.

#[path = "../vm/agreed.rs"]
mod agreed;

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, process::ExitStatusExt as _},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    kmod::{ModuleInitFlags, finit_module},
    mount::{MsFlags, mount},
    sys::reboot::{RebootMode, reboot},
};

/// What is mounted where, and of which type.
const MOUNTS: &[(&str, &str)] = &[
    ("/proc", "proc"),
    ("/sys", "sysfs"),
    ("/dev", "devtmpfs"),
    ("/sys/kernel/security", "securityfs"),
    ("/sys/kernel/tracing", "tracefs"),
    ("/sys/fs/bpf", "bpf"),
    ("/sys/fs/cgroup", "cgroup2"),
    ("/tmp", "tmpfs"),
    ("/run", "tmpfs"),
];

/// MODULE_INIT_COMPRESSED_FILE of finit_module(2): the kernel decompresses it, since Linux 5.17. Debian compresses its
/// modules where the kernel can (6.12).
const COMPRESSED: ModuleInitFlags = ModuleInitFlags::from_bits_retain(4);

/// IFF_UP and IFF_LOOPBACK.
const LOOPBACK_UP: &str = "0x9";

fn main() {
    if let Err(error) = run() {
        eprintln!("init: {error:#}");
    }
    let Err(error) = reboot(RebootMode::RB_POWER_OFF);
    // The kernel panics where its first process ends, which ends the machine as well.
    eprintln!("init: the machine cannot be turned off: {error}");
}

fn run() -> Result<()> {
    for (at, kind) in MOUNTS {
        fs::create_dir_all(at)?;
        let no_data = None::<&str>;
        mount(Some(*kind), *at, Some(*kind), MsFlags::empty(), no_data)
            .with_context(|| format!("mounting {at}"))?;
    }
    load_modules()?;
    fs::write("/sys/class/net/lo/flags", LOOPBACK_UP).context("bringing the loopback device up")?;
    let mut status = port(agreed::STATUS)?;
    writeln!(status, "{}", agreed::BEGUN)?;
    let code = run_command()?;
    let mut archive = tar::Builder::new(port(agreed::ARCHIVE)?);
    archive.append_dir_all(".", agreed::FILES)?;
    archive.finish().context("handing the files back")?;
    writeln!(status, "{code}").context("handing the exit code back")
}

/// Loads the modules in the order of their names.
fn load_modules() -> Result<()> {
    let mut modules: Vec<_> =
        fs::read_dir(agreed::MODULES)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    modules.sort();
    for path in modules {
        let flags = match path.extension() {
            Some(extension) if extension != "ko" => COMPRESSED,
            _ => ModuleInitFlags::empty(),
        };
        finit_module(File::open(&path)?, c"", flags)
            .with_context(|| format!("loading {}", path.display()))?;
    }
    Ok(())
}

/// Runs the command, and returns its exit code, which is a shell's where a signal ended it.
fn run_command() -> Result<i32> {
    let words = fs::read(agreed::COMMAND)?;
    let words = words.strip_suffix(b"\0").context("there is no command")?;
    let mut words = words.split(|byte| *byte == 0).map(OsStr::from_bytes);
    let program = words.next().unwrap_or_default();
    let mut command = Command::new(program);
    command.args(words).current_dir(agreed::FILES).env("PATH", "/bin").env("HOME", agreed::FILES);
    command.stdin(Stdio::null()).stdout(port(agreed::STDOUT)?).stderr(port(agreed::STDERR)?);
    let status = command.status().with_context(|| format!("running {}", program.display()))?;
    Ok(status.code().unwrap_or(128 + status.signal().unwrap_or_default()))
}

/// Opens a port of the machine by its name.
fn port(name: &str) -> Result<File> {
    let ports = Path::new("/sys/class/virtio-ports");
    for entry in fs::read_dir(ports).context("looking for the ports")? {
        let device = entry?.file_name();
        if fs::read_to_string(ports.join(&device).join("name"))?.trim_end() == name {
            let device = Path::new("/dev").join(device);
            return File::options()
                .write(true)
                .open(&device)
                .with_context(|| format!("opening {}", device.display()));
        }
    }
    bail!("the machine has no port {name}")
}
