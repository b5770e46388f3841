//! The programs of the guest: probe, and the init that starts it. Both are linked statically, since the initramfs has
//! no libraries.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::workspace;

/// Paths of the programs, which also run on the host.
pub struct Programs {
    /// probe itself.
    pub probe: PathBuf,
    /// The guest's init.
    pub init: PathBuf,
}

/// Builds both.
pub fn build() -> Result<Programs> {
    let target = workspace::host()?;
    let mut cargo = workspace::cargo("build");
    cargo
        .args(["--release", "--package", "probe", "--package", "xtask", "--bin", "probe", "--bin", "init"])
        // With an explicit target the flags do not apply to build scripts and proc macros, which cannot be static.
        .args(["--target", &target])
        .env(workspace::variable_of_target(&target, "RUSTFLAGS"), "-C target-feature=+crt-static");
    let status = cargo.status().context("could not run cargo")?;
    ensure!(status.success(), "building the programs failed");
    let built = workspace::target_dir().join(target).join("release");
    Ok(Programs { probe: built.join("probe"), init: built.join("init") })
}
