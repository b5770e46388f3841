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
    io, iter,
    path::{Path, PathBuf},
    process::ExitCode,
    slice,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use self::{
    kernel::{Gone, Kernel},
    machine::{Machine, Options},
    programs::{Programs, Tests},
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
    /// The kernels that Debian's archive no longer has.
    pub gone: Vec<Gone>,
}

impl Emulation {
    /// Provides emulator, these programs and the kernels of these names, or all. What an earlier run fetched is reused.
    ///
    /// Fails if a kernel that was named is gone; without names it is skipped.
    pub fn provide(names: &[String], programs: &[&str]) -> Result<Self> {
        let chosen = kernel::chosen(names)?;
        setup::toolchain()?;
        let directory = workspace::target_dir().join("vm");
        fs::create_dir_all(&directory).with_context(|| format!("could not make {}", directory.display()))?;
        let lock = lock(&directory.join("lock"))?;
        let log = Log::create(directory.join("setup.log"))?;
        let qemu = Qemu::provide(&directory, &log)?;
        let (mut kernels, mut gone) = (Vec::new(), Vec::new());
        for source in chosen {
            match source.provide(&directory, &log)? {
                Ok(kernel) => kernels.push(kernel),
                Err(lost) => {
                    ensure!(names.is_empty(), "kernel {} can no longer be had: {}", lost.name, lost.why);
                    eprintln!("=== kernel {} is skipped: {}", lost.name, lost.why);
                    gone.push(lost);
                }
            }
        }
        Ok(Self { qemu, programs: programs::build(programs)?, kernels, gone, directory, _lock: lock })
    }

    /// Builds the integration tests, for all machines.
    pub fn add_tests(&mut self) -> Result<()> {
        self.programs.tests = Tests::build(&self.directory.join("tests"))?;
        Ok(())
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
///
/// With `tests` it is the integration tests that run, with the command's words as their arguments.
pub fn vm(kernels: &[String], command: &[OsString], tests: bool, options: &Options) -> Result<ExitCode> {
    let programs = if tests { programs::FOR_TESTS } else { programs::ALL };
    let mut emulation = Emulation::provide(kernels, programs)?;
    let (program, default) = if tests {
        emulation.add_tests()?;
        (emulation.programs.tests.program.clone().into(), None)
    } else {
        ("probe".into(), Some("doctor".into()))
    };
    let default = default.filter(|_| command.is_empty());
    let words: Vec<OsString> = iter::once(program).chain(default).chain(command.iter().cloned()).collect();
    let mut code = 0;
    for machine in emulation.machines() {
        eprintln!("=== {machine}");
        let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
        let outcome = machine.run(slice::from_ref(&words), options, &mut stdout, &mut stderr)?;
        eprintln!("=== {outcome}");
        if code == 0 {
            code = outcome.code();
        }
    }
    Ok(code.into())
}
