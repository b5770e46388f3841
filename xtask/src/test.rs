//! `cargo xtask test`: every test of the workspace.

use std::{ffi::OsString, path::Path};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{privilege, setup, workspace};

/// Where tracefs belongs since Linux 4.1.
const TRACEFS: &str = "/sys/kernel/tracing";

/// Runs all tests as root; `args` go to the test programs.
///
/// With `unprivileged`, tests that need root count as ignored, through a feature of `probe`.
pub fn test(unprivileged: bool, args: &[OsString]) -> Result<()> {
    let mut cargo = workspace::cargo("test");
    cargo.args(["--workspace", "--no-fail-fast"]);
    if unprivileged {
        cargo.args(["--features", "probe/unprivileged"]);
    } else if let Err(error) = privilege::run_as_root(&mut cargo) {
        bail!("{error}, or pass --unprivileged to skip the tests that need root");
    } else {
        mount_tracefs()?;
    }
    setup::toolchain()?;
    let status = cargo.arg("--").args(args).status().context("could not run cargo")?;
    ensure!(status.success(), "some tests failed");
    Ok(())
}

/// Mounts tracefs where the host has not: minimal systems leave it out, and the classic tracepoints and the tests that
/// compare probe with the kernel's own trace need it.
fn mount_tracefs() -> Result<()> {
    if Path::new(TRACEFS).join("events").is_dir() {
        return Ok(());
    }
    eprintln!("mounting tracefs on {TRACEFS}");
    let status = privilege::as_root(Path::new("mount"))?
        .args(["-t", "tracefs", "nodev", TRACEFS])
        .status()
        .context("could not run mount")?;
    ensure!(status.success(), "could not mount tracefs on {TRACEFS}: the tests need it");
    Ok(())
}
