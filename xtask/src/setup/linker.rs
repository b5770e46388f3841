//! bpf-linker, built against the compiler's LLVM.

use std::{
    fs, io,
    ops::RangeInclusive,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::{log::Log, toolchain::with_libraries, workspace};

/// The release to build.
pub const VERSION: &str = "0.13.0";
/// The LLVM major versions that this release supports.
const LLVM: RangeInclusive<u32> = 21..=23;

/// Whether bpf-linker can be built against this LLVM.
pub fn check_llvm(major: u32) -> Result<()> {
    ensure!(
        LLVM.contains(&major),
        "that rustc uses LLVM {major}, but bpf-linker {VERSION} supports {} to {}",
        LLVM.start(),
        LLVM.end()
    );
    Ok(())
}

/// Builds bpf-linker in `directory` against the libLLVM in `libraries`; returns the program's path.
pub fn build(directory: &Path, libraries: &Path, llvm: u32, log: &Log) -> Result<PathBuf> {
    let prefix = llvm_prefix(&directory.join("llvm"), libraries, llvm)?;
    let build_dir = directory.join("target");
    let mut install = workspace::cargo("install");
    install
        .args(["bpf-linker", "--version", VERSION, "--locked", "--force"])
        .args(["--no-default-features", "--features", &format!("llvm-{llvm}")])
        .arg("--root")
        .arg(directory)
        .arg("--target-dir")
        .arg(&build_dir)
        .env("LLVM_PREFIX", prefix)
        .env("LD_LIBRARY_PATH", with_libraries(libraries))
        // LLVM does the work; optimising the rest would triple the build time.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false");
    for flags in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        install.env_remove(flags);
    }
    log.run(&mut install)?;
    fs::remove_dir_all(build_dir)?;
    Ok(directory.join("bin/bpf-linker"))
}

/// bpf-linker's build looks for `lib/libLLVM.so`, a symlink that only LLVM's development package has;
/// that package is large and not needed otherwise.
fn llvm_prefix(prefix: &Path, libraries: &Path, llvm: u32) -> Result<PathBuf> {
    let name = format!("libLLVM.so.{llvm}.");
    let library = fs::read_dir(libraries)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&name)))
        .with_context(|| format!("there is no {name}* in {}", libraries.display()))?;
    let link = prefix.join("lib/libLLVM.so");
    fs::create_dir_all(prefix.join("lib"))?;
    match fs::remove_file(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => symlink(library, &link)?,
    }
    Ok(prefix.to_owned())
}
