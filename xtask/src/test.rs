//! `cargo xtask test`: every test of the workspace.

use std::ffi::OsString;

use anyhow::{Context as _, Result, bail, ensure};

use crate::{privilege, setup, workspace};

/// Runs all tests, as root; `args` go to the test programs.
///
/// With `unprivileged` it needs no root: the tests that do are then counted as ignored, through a
/// feature of `probe`.
pub fn test(unprivileged: bool, args: &[OsString]) -> Result<()> {
    let mut cargo = workspace::cargo("test");
    cargo.args(["--workspace", "--no-fail-fast"]);
    if unprivileged {
        cargo.args(["--features", "probe/unprivileged"]);
    } else if let Err(error) = privilege::run_as_root(&mut cargo) {
        bail!("{error}, or with --unprivileged, which leaves out the tests that need it");
    }
    setup::toolchain()?;
    let status = cargo.arg("--").args(args).status().context("could not run cargo")?;
    ensure!(status.success(), "the tests failed");
    Ok(())
}
