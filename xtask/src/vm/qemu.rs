//! The emulator: the host's, or Debian's, unpacked below cargo's target directory so that nothing on the host changes.

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

/// The program.
const PROGRAM: &str = "qemu-system-x86_64";

/// Its package.
const PACKAGE: &str = "qemu-system-x86";

/// The emulator.
pub enum Qemu {
    /// On PATH.
    Host,
    /// Unpacked in this directory.
    Unpacked(PathBuf),
}

impl Qemu {
    /// The host's emulator, or else one that is fetched, unless it was before.
    pub fn provide(directory: &Path, log: &Log) -> Result<Self> {
        if Self::Host.command().and_then(|command| runs(command, log)).is_ok() {
            return Ok(Self::Host);
        }
        let root = directory.join("qemu");
        let qemu = Self::Unpacked(root.clone());
        if !root.exists() {
            fetch(directory, &root, log).with_context(|| {
                format!("there is no {PROGRAM} on this host, and it could not be fetched: install {PACKAGE}")
            })?;
        }
        runs(qemu.command()?, log)?;
        Ok(qemu)
    }

    /// The program, with what it needs to find its libraries and its firmware.
    pub fn command(&self) -> Result<Command> {
        let root = match self {
            Self::Host => return Ok(Command::new(PROGRAM)),
            Self::Unpacked(root) => root,
        };
        let libraries = [root.join("usr/lib"), root.join("lib")];
        let libraries: Vec<_> = libraries.iter().filter_map(|lib| apt::libraries(lib).ok()).collect();
        let modules = libraries.first().context("the emulator lacks its libraries")?.join("qemu");
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

/// Makes sure that the emulator runs on this host.
fn runs(mut command: Command, log: &Log) -> Result<()> {
    log.run(command.arg("--version")).map(drop)
}

/// The package with the libraries that this host lacks, by the host's own sources.
fn fetch(directory: &Path, root: &Path, log: &Log) -> Result<()> {
    let apt = Apt::new(directory.join("apt"), log)?;
    // One of the host's other sources may fail; what counts is whether the package is known now.
    let updated = log.step("fetching apt's lists", || Ok(apt.update()))?;
    let packages = apt.would_install(PACKAGE).or_else(|error| updated.and(Err(error)))?;
    ensure!(packages.iter().any(|name| name == PACKAGE), "apt would not install {PACKAGE}");
    let what = format!("downloading QEMU ({} MB)", apt.size(&packages)? / 1_000_000);
    log.step(&what, || apt.download(&packages))?;
    log.step("unpacking", || apt.unpack(root))?;
    apt.clean()
}
