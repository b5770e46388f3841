//! `cargo xtask vm`: runs a probe command on other kernels than the host's.
//!
//! - [`kernel`]: which kernels there are, fetched and kept below cargo's target directory
//! - [`qemu`]: the emulator, the host's or a fetched one
//! - [`programs`]: what runs in there, built to need nothing else
//! - [`initramfs`]: what a machine begins with
//! - [`machine`]: one machine, from its start to its end
//! - [`agreed`]: what host and guest agree on

pub mod agreed;
mod initramfs;
pub mod kernel;
pub mod machine;
pub mod programs;
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

/// All that machines are started with.
pub struct Emulation {
    directory: PathBuf,
    /// Held meanwhile: two runs would overwrite each other's files.
    _lock: Flock<File>,
    qemu: Qemu,
    /// The programs, which run on the host as well.
    pub programs: Programs,
    kernels: Vec<Kernel>,
}

impl Emulation {
    /// Provides what these kernels need, as far as it is not there from an earlier time: emulator, programs, kernels.
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

    /// A machine for each of the kernels.
    pub fn machines(&self) -> impl Iterator<Item = Machine<'_>> {
        self.kernels.iter().map(|kernel| Machine {
            kernel,
            qemu: &self.qemu,
            programs: &self.programs,
            directory: self.directory.join(kernel.name),
        })
    }
}

/// Waits until no other run holds the file.
fn lock(path: &Path) -> Result<Flock<File>> {
    let file = File::create(path).with_context(|| format!("could not write {}", path.display()))?;
    let (file, error) = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => return Ok(lock),
        Err(refused) => refused,
    };
    if error != Errno::EWOULDBLOCK {
        return Err(error).with_context(|| format!("could not lock {}", path.display()));
    }
    eprintln!("waiting for another run that uses {}", path.display());
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
}

/// Runs a probe command on these kernels, one after the other; its exit code is the first that is not 0.
pub fn vm(kernels: &[String], command: &[OsString], options: &Options) -> Result<ExitCode> {
    let emulation = Emulation::provide(kernels)?;
    let command = if command.is_empty() { &["doctor".into()] } else { command };
    let mut code = 0;
    for machine in emulation.machines() {
        eprintln!("=== {machine}");
        let ended = machine.run(command, options, &mut std::io::stdout())?;
        eprintln!("=== {ended}");
        if code == 0 {
            code = ended.code;
        }
    }
    Ok(code.into())
}
