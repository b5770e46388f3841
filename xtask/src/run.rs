//! `cargo xtask run`: builds probe and runs its scenarios, as root.

use std::{convert::Infallible, ffi::OsString, os::unix::process::CommandExt as _};

use anyhow::{Context as _, Result};

use crate::{privilege, setup, workspace};

/// Executes `probe run ARGS`.
///
/// It execs instead of spawning: cargo replaces this process, and probe (or sudo) replaces
/// cargo, so that signals reach probe itself and its exit code is the command's.
pub fn run(args: &[OsString]) -> Result<Infallible> {
    let mut cargo = workspace::cargo("run");
    privilege::run_as_root(&mut cargo)?;
    setup::toolchain()?;
    cargo.args(["--release", "--package", "probe", "--", "run"]).args(args);
    Err(cargo.exec()).context("could not run cargo")
}
