//! `cargo xtask vm`: runs a probe command on other kernels, in virtual machines.
//!
//! - [`kernel`]: the available kernels, fetched and cached below cargo's target directory
//! - [`qemu`]: the emulator, installed on the host or fetched
//! - [`programs`]: the statically linked programs that run in the guest
//! - [`initramfs`]: the guest's initial file system
//! - [`machine`]: one virtual machine, from start to exit
//! - [`protocol`]: paths and ports shared by host and guest

mod initramfs;
pub mod kernel;
pub mod machine;
pub mod programs;
pub mod protocol;
mod qemu;

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use self::{
    kernel::Kernel,
    machine::{Machine, Options},
    programs::Programs,
    qemu::Qemu,
};
use crate::{log::Log, setup, workspace};

/// Everything needed to start the machines.
pub struct Emulation {
    directory: PathBuf,
    /// Held while in use: two runs would overwrite each other's files.
    _lock: Flock<File>,
    qemu: Qemu,
    /// The programs, which also run on the host.
    pub programs: Programs,
    kernels: Vec<Kernel>,
}

impl Emulation {
    /// Provides emulator, programs and kernels; what an earlier run fetched is reused.
    pub fn provide(names: &[String]) -> Result<Self> {
        let chosen = kernel::chosen(names)?;
        setup::toolchain()?;
        let directory = workspace::target_dir().join("vm");
        fs::create_dir_all(&directory).with_context(|| format!("could not make {}", directory.display()))?;
        let lock = lock(&directory.join("lock"))?;
        let log = Log::create(directory.join("setup.log"))?;
        let qemu = Qemu::provide(&directory, &log)?;
        let kernels = chosen.iter().map(|source| source.provide(&directory, &log));
        let kernels = kernels.collect::<Result<_>>()?;
        Ok(Self { qemu, programs: programs::build()?, kernels, directory, _lock: lock })
    }

    /// One machine per kernel.
    pub fn machines(&self) -> impl Iterator<Item = Machine<'_>> {
        self.kernels.iter().map(|kernel| Machine {
            kernel,
            qemu: &self.qemu,
            programs: &self.programs,
            directory: self.directory.join(kernel.name),
        })
    }
}

/// Locks the file, waiting for other runs.
fn lock(path: &Path) -> Result<Flock<File>> {
    let file = File::create(path).with_context(|| format!("could not write {}", path.display()))?;
    let (file, error) = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => return Ok(lock),
        Err(refused) => refused,
    };
    if error != Errno::EWOULDBLOCK {
        return Err(error).with_context(|| format!("could not lock {}", path.display()));
    }
    eprintln!("waiting for another run that holds {}", path.display());
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
}

/// Runs a probe command on these kernels one after the other. The exit code is the first that is not 0.
pub fn vm(kernels: &[String], command: &[OsString], options: &Options) -> Result<ExitCode> {
    let emulation = Emulation::provide(kernels)?;
    let command = if command.is_empty() { &["doctor".into()] } else { command };
    let mut code = 0;
    for machine in emulation.machines() {
        eprintln!("=== {machine}");
        let outcome = machine.run(command, options, &mut std::io::stdout())?;
        eprintln!("=== {outcome}");
        if code == 0 {
            code = outcome.code;
        }
    }
    Ok(code.into())
}
