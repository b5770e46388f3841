//! The programs that run in a machine: probe, and the init that starts it. They are linked statically, since there is
//! nothing else in there.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::workspace;

/// The programs' paths. They run on the host as well.
pub struct Programs {
    /// The tool.
    pub probe: PathBuf,
    /// The first process.
    pub init: PathBuf,
}

/// Builds them.
pub fn build() -> Result<Programs> {
    let target = workspace::host()?;
    let mut cargo = workspace::cargo("build");
    cargo
        .args(["--release", "--package", "probe", "--package", "xtask", "--bin", "probe", "--bin", "init"])
        // With a target named, the flags are not those of build scripts and macros, which cannot be static.
        .args(["--target", &target])
        .env(workspace::variable_of_target(&target, "RUSTFLAGS"), "-C target-feature=+crt-static");
    let status = cargo.status().context("could not run cargo")?;
    ensure!(status.success(), "the programs could not be built");
    let built = workspace::target_dir().join(target).join("release");
    Ok(Programs { probe: built.join("probe"), init: built.join("init") })
}
