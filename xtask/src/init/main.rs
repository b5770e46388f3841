//! The guest's init: sets the machine up, runs its commands, hands their results to the host, and powers off.
//! Errors before that go to the console.

mod collect;
#[path = "../vm/protocol.rs"]
mod protocol;

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, process::ExitStatusExt as _},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    kmod::{ModuleInitFlags, finit_module},
    mount::{MsFlags, mount},
    sys::reboot::{RebootMode, reboot},
};

/// Mount points with their file system types.
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
    // The kernel panics when init exits, which stops the machine as well.
    eprintln!("init: could not power off: {error}");
}

fn run() -> Result<()> {
    for (at, kind) in MOUNTS {
        // A checkout in /tmp has its tests there. The root is in memory as well.
        if *kind == "tmpfs" && Path::new(at).exists() {
            continue;
        }
        fs::create_dir_all(at)?;
        let no_data = None::<&str>;
        mount(Some(*kind), *at, Some(*kind), MsFlags::empty(), no_data)
            .with_context(|| format!("mounting {at}"))?;
    }
    load_modules()?;
    fs::write("/sys/class/net/lo/flags", LOOPBACK_UP).context("bringing up the loopback device")?;
    let mut status = port(protocol::STATUS)?;
    writeln!(status, "{}", protocol::STARTED)?;
    let mut commands: Vec<_> =
        fs::read_dir(protocol::COMMANDS)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    commands.sort();
    for command in commands {
        let started = Instant::now();
        let code = run_command(&command)?;
        writeln!(status, "{code} {}", started.elapsed().as_millis())?;
    }
    let mut archive = tar::Builder::new(port(protocol::ARCHIVE)?);
    archive.append_dir_all(".", protocol::FILES)?;
    archive.finish().context("handing the files back")?;
    writeln!(status, "{}", protocol::ARCHIVED).context("reporting the end")
}

/// Loads the modules in name order.
fn load_modules() -> Result<()> {
    let mut modules: Vec<_> =
        fs::read_dir(protocol::MODULES)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
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

/// Runs a command and returns its exit code; 128 + the signal number if a signal killed it.
fn run_command(file: &Path) -> Result<i32> {
    let words = fs::read(file)?;
    let words = words.strip_suffix(b"\0").context("there is no command")?;
    let mut words = words.split(|byte| *byte == 0).map(OsStr::from_bytes);
    let program = words.next().unwrap_or_default();
    if program == protocol::COLLECT {
        let directory = words.next().context("the directory to collect into is missing")?;
        collect::collect(&Path::new(protocol::FILES).join(directory)).context("collecting the interface")?;
        return Ok(0);
    }
    let mut command = Command::new(program);
    command.args(words).current_dir(protocol::FILES).env("PATH", "/bin").env("HOME", protocol::FILES);
    command.stdin(Stdio::null()).stdout(port(protocol::STDOUT)?).stderr(port(protocol::STDERR)?);
    let status = command.status().with_context(|| format!("running {}", program.display()))?;
    Ok(status.code().unwrap_or(128 + status.signal().unwrap_or_default()))
}

/// Opens a virtio port by name.
fn port(name: &str) -> Result<File> {
    let ports = Path::new("/sys/class/virtio-ports");
    for entry in fs::read_dir(ports).context("listing the virtio ports")? {
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
