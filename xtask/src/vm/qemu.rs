//! The emulator: installed on the host, or Debian's, unpacked below cargo's target directory.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    apt::{self, Apt},
    log::Log,
    toolchain::with_libraries,
};

/// The program's name.
const PROGRAM: &str = "qemu-system-x86_64";

/// Its Debian package.
const PACKAGE: &str = "qemu-system-x86";

/// The emulator.
pub enum Qemu {
    /// On PATH.
    Host,
    /// Unpacked in this directory.
    Unpacked(PathBuf),
}

impl Qemu {
    /// The host's emulator, otherwise one fetched on first use.
    pub fn provide(directory: &Path, log: &Log) -> Result<Self> {
        if Self::Host.command().and_then(|command| check(command, log)).is_ok() {
            return Ok(Self::Host);
        }
        let root = directory.join("qemu");
        let qemu = Self::Unpacked(root.clone());
        if !root.exists() {
            fetch(directory, &root, log).with_context(|| {
                format!("{PROGRAM} is not installed and could not be fetched: install {PACKAGE}")
            })?;
        }
        check(qemu.command()?, log)?;
        Ok(qemu)
    }

    /// The command, with the paths of its libraries and firmware.
    pub fn command(&self) -> Result<Command> {
        let root = match self {
            Self::Host => return Ok(Command::new(PROGRAM)),
            Self::Unpacked(root) => root,
        };
        let libraries = [root.join("usr/lib"), root.join("lib")];
        let libraries: Vec<_> = libraries.iter().filter_map(|lib| apt::libraries(lib).ok()).collect();
        let modules = libraries.first().context("the unpacked emulator has no libraries")?.join("qemu");
        let mut command = Command::new(root.join("usr/bin").join(PROGRAM));
        command
            .env("LD_LIBRARY_PATH", with_libraries(Path::new(&env::join_paths(libraries)?)))
            .env("QEMU_MODULE_DIR", modules);
        for firmware in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(root.join(firmware));
        }
        Ok(command)
    }
}

/// Checks that the emulator runs on this host.
fn check(mut command: Command, log: &Log) -> Result<()> {
    log.run(command.arg("--version")).map(drop)
}

/// Fetches the package and the libraries that this host lacks, from the host's apt sources.
fn fetch(directory: &Path, root: &Path, log: &Log) -> Result<()> {
    let apt = Apt::new(directory.join("apt"), log)?;
    // An unrelated apt source may fail; what matters is whether apt knows the package afterwards.
    let updated = log.step("fetching apt's lists", || Ok(apt.update()))?;
    let packages = apt.would_install(PACKAGE).or_else(|error| updated.and(Err(error)))?;
    ensure!(packages.iter().any(|name| name == PACKAGE), "apt would not install {PACKAGE}");
    let what = format!("downloading QEMU ({} MB)", apt.size(&packages)? / 1_000_000);
    log.step(&what, || apt.download(&packages))?;
    log.step("unpacking", || apt.unpack(root))?;
    apt.clean()
}
