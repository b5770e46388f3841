//! Debian's packages: a rustc with `core` compiled for BPF, its LLVM and its clippy.
//!
//! The packages need no maintainer scripts here, so unpacking them anywhere is enough; what they
//! load at run time is found through LD_LIBRARY_PATH.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{OLDEST_RUSTC, linker, new_enough, version};
use crate::{
    apt::{self, Apt},
    log::Log,
    privilege,
    toolchain::{Toolchain, with_libraries},
};

/// The source packages with a BPF `core`, newest first: stable suites carry a recent rustc for
/// web browsers besides their own. Their package names differ in this part.
const FLAVOURS: [&str; 2] = ["-web", ""];

/// What apt offers.
struct Offer {
    /// rustc's version.
    rustc: String,
    /// LLVM's major version.
    llvm: u32,
    /// All required packages.
    packages: Vec<String>,
}

/// Provides the toolchain below `directory`, or installs it if unpacking fails and this is root.
pub fn provide(directory: &Path, log: &Log) -> Result<Toolchain> {
    let root = directory.join("root");
    let compiler = match compiler(&root) {
        // An earlier run got this far.
        Ok(compiler) => compiler,
        Err(_) => fetch(directory, &root, log)?,
    };
    let Compiler { rustc, libraries, llvm } = compiler;
    let what = format!("building bpf-linker {}", linker::VERSION);
    let linker = log.step(&what, || linker::build(&directory.join("linker"), &libraries, llvm, log))?;
    Ok(Toolchain::Debian { rustc, libraries, linker })
}

/// Downloads the packages and unpacks them in `root`, or else installs them.
fn fetch(directory: &Path, root: &Path, log: &Log) -> Result<Compiler> {
    ensure!(version(&mut Command::new("apt-get")).is_ok(), "this host has no apt-get");
    let apt = Apt::new(directory.join("apt"), log)?;
    // An unrelated apt source may fail; what matters is whether apt knows the packages afterwards.
    let updated = log.step("fetching apt's lists", || Ok(apt.update()))?;
    let offer = offer(&apt).map_err(|error| match updated {
        Ok(()) => error,
        Err(cause) => cause.context("apt's lists could not be fetched").context(error),
    })?;
    let megabytes = apt.size(&offer.packages)? / 1_000_000;
    let what = format!("downloading rustc {} and LLVM {} ({megabytes} MB)", offer.rustc, offer.llvm);
    log.step(&what, || apt.download(&offer.packages))?;
    let unpacked = log.step("unpacking", || apt.unpack(root).and_then(|()| compiler(root)));
    let compiler = match unpacked {
        Err(error) if privilege::is_root() => {
            eprintln!("  the unpacked toolchain does not run here: {error:#}");
            log.step("installing them instead", || apt.install(&offer.packages))?;
            compiler(Path::new("/"))
        }
        other => other,
    }?;
    apt.clean()?;
    Ok(compiler)
}

/// Asks apt for the packages and checks that they are new enough.
fn offer(apt: &Apt) -> Result<Offer> {
    let mut lack =
        "apt knows no rustc with a core for BPF (libstd-rust-web-dev-bpf, libstd-rust-dev-bpf)".into();
    for flavour in FLAVOURS {
        let bpf_core = format!("libstd-rust{flavour}-dev-bpf");
        let compiler = format!("rustc{flavour}");
        let (Some(_), Some(rustc)) = (apt.candidate(&bpf_core)?, apt.candidate(&compiler)?) else { continue };
        if !new_enough(&rustc) {
            lack =
                format!("apt has {compiler} {rustc}, which is too old: {OLDEST_RUSTC} or later is required");
            continue;
        }
        let std = format!("libstd-rust{flavour}-dev");
        let shared = apt.dependency(&std, "libstd-rust")?;
        let libllvm = apt.dependency(&shared, "libllvm")?;
        let llvm = libllvm.trim_start_matches("libllvm").trim_end_matches("t64").parse::<u32>();
        let llvm = llvm.with_context(|| format!("{libllvm} has no LLVM version in its name"))?;
        linker::check_llvm(llvm)?;
        // The libraries that LLVM loads and this host lacks. glibc must match the host's dynamic loader.
        let loaded = apt.would_install(&libllvm).unwrap_or_default();
        let mut packages = vec![compiler, std, bpf_core, shared, format!("rust{flavour}-clippy"), libllvm];
        packages.extend(loaded.into_iter().filter(|name| name != "libc6"));
        packages.sort();
        packages.dedup();
        return Ok(Offer { rustc, llvm, packages });
    }
    bail!("{lack}")
}

/// A compiler that is known to run.
struct Compiler {
    rustc: PathBuf,
    libraries: PathBuf,
    /// LLVM's major version.
    llvm: u32,
}

/// The compiler whose packages are unpacked in `root`.
fn compiler(root: &Path) -> Result<Compiler> {
    let rustc = root.join("usr/bin/rustc");
    let libraries = apt::libraries(&root.join("usr/lib"))?;
    let output = Command::new(&rustc)
        .args(["--version", "--verbose"])
        .env("LD_LIBRARY_PATH", with_libraries(&libraries))
        .output()
        .with_context(|| format!("could not run {}", rustc.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let llvm =
        text.lines().find_map(|line| line.strip_prefix("LLVM version: ")?.split('.').next()?.parse().ok());
    let llvm = llvm.with_context(|| {
        format!("{} does not run: {}", rustc.display(), String::from_utf8_lossy(&output.stderr).trim())
    })?;
    Ok(Compiler { rustc, libraries, llvm })
}
