//! Root privileges, which probe needs to read the kernel's events: detecting them, and running programs
//! with them.

use std::{env, fs, os::unix::fs::MetadataExt as _, path::Path, process::Command};

use anyhow::{Result, bail};

use crate::workspace;

/// Whether this process runs as root: /proc/self belongs to its effective user.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|of_self| of_self.uid() == 0)
}

/// Makes `cargo run` or `cargo test` compile as the user and run the result as root.
///
/// # Errors
/// This is not root and there is no sudo.
pub fn run_as_root(cargo: &mut Command) -> Result<()> {
    if is_root() {
        return Ok(());
    }
    sudo()?;
    let target = match env::var("CARGO_BUILD_TARGET") {
        Ok(target) => target,
        Err(_) => workspace::host()?,
    };
    cargo.env(workspace::variable_of_target(&target, "RUNNER"), "sudo --preserve-env");
    Ok(())
}

/// A command that runs as root.
///
/// # Errors
/// This is not root and there is no sudo.
pub fn as_root(program: &Path) -> Result<Command> {
    if is_root() {
        return Ok(Command::new(program));
    }
    let mut sudo = sudo()?;
    sudo.arg(program);
    Ok(sudo)
}

/// sudo, if installed.
fn sudo() -> Result<Command> {
    if !Command::new("sudo").arg("--version").output().is_ok_and(|output| output.status.success()) {
        bail!("this needs root and sudo is not installed: run it as root");
    }
    Ok(Command::new("sudo"))
}
