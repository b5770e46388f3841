//! Paths of the workspace and cargo's target directory, and cargo itself.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

/// The workspace's root directory.
///
/// Taken from the running cargo if possible: with a target directory shared by two checkouts, xtask may have been
/// compiled in the other one.
pub fn root() -> PathBuf {
    let xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&xtask).parent().expect("xtask is in the workspace").to_owned()
}

/// Cargo's target directory: CARGO_TARGET_DIR, or else `target` in the workspace.
pub fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => env::current_dir().unwrap_or_default().join(dir),
        None => root().join("target"),
    }
}

/// `cargo SUBCOMMAND` in the workspace, with the cargo that runs xtask.
pub fn cargo(subcommand: &str) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg(subcommand).current_dir(root()).env("CARGO_TARGET_DIR", target_dir());
    cargo
}

/// The host's target triple.
pub fn host() -> Result<String> {
    let output = cargo("--version").arg("--verbose").output().context("could not run cargo")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`cargo --version --verbose` names no host")?.to_owned())
}

/// The environment variable of a per-target cargo setting.
pub fn variable_of_target(target: &str, setting: &str) -> String {
    format!("CARGO_TARGET_{}_{setting}", target.to_uppercase().replace('-', "_"))
}
