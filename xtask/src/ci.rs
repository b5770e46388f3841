//! `cargo xtask ci`: every check that a change must pass.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    setup,
    toolchain::{Toolchain, bpf_target},
    workspace,
};

/// The completed steps: name, duration, success.
type Steps = Vec<(&'static str, Duration, bool)>;

/// Runs every step, even after a failure, and prints a summary.
pub fn ci() -> Result<()> {
    let mut steps = Steps::new();
    let toolchain = step(&mut steps, "set-up", setup::toolchain)?;
    let checks: [(&str, Command); 6] = [
        ("format", cargo("fmt", &["--all", "--check"])),
        ("clippy, host", cargo("clippy", &["--workspace", "--all-targets", "--", "-D", "warnings"])),
        ("clippy, kernel side", clippy_of_kernel_side(&toolchain)),
        ("tests", cargo("xtask", &["test"])),
        ("documentation", documentation()),
        // The fastest one to fetch; `cargo xtask matrix` runs all of them on demand.
        ("kernel 6.1", cargo("xtask", &["matrix", "6.1", "--without-truth"])),
    ];
    for (name, mut command) in checks {
        // The summary shows the failure; its details precede it.
        let _ = step(&mut steps, name, || {
            eprintln!("$ {}", shown(&command));
            let status = command.status().with_context(|| format!("could not run {command:?}"))?;
            ensure!(status.success(), "{status}");
            Ok(())
        });
    }
    summarize(&steps)
}

fn cargo(subcommand: &str, args: &[&str]) -> Command {
    let mut cargo = workspace::cargo(subcommand);
    cargo.args(args);
    cargo
}

/// Clippy for the BPF target, with the BPF toolchain's own clippy.
/// The host's clippy cannot check it: it cannot read the other compiler's `core`.
fn clippy_of_kernel_side(toolchain: &Toolchain) -> Command {
    let target = bpf_target(if cfg!(target_endian = "big") { "big" } else { "little" });
    let build_dir = Toolchain::directory(&workspace::target_dir()).join("build");
    let mut clippy = toolchain.cargo("clippy", std::env::consts::ARCH, target, &build_dir);
    clippy.current_dir(workspace::root()).args(["--", "-D", "warnings"]);
    clippy
}

fn documentation() -> Command {
    let mut doc = cargo("doc", &["--workspace", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    doc
}

/// A command as typed.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs a step with its name and duration printed, and records the result.
fn step<T>(steps: &mut Steps, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("\n=== {name}");
    let started = Instant::now();
    let result = work();
    let took = started.elapsed();
    match &result {
        Ok(_) => eprintln!("=== {name}: {:.1} s", took.as_secs_f64()),
        Err(error) => eprintln!("=== {name}: failed after {:.1} s: {error:#}", took.as_secs_f64()),
    }
    steps.push((name, took, result.is_ok()));
    result
}

/// Prints the summary; fails if a step failed.
fn summarize(steps: &Steps) -> Result<()> {
    eprintln!("\n{:<22}{:>9}", "step", "time");
    for (name, took, good) in steps {
        eprintln!("{name:<22}{:>7.1} s  {}", took.as_secs_f64(), if *good { "ok" } else { "FAILED" });
    }
    let total: Duration = steps.iter().map(|(_, took, _)| *took).sum();
    eprintln!("{:<22}{:>7.1} s", "all", total.as_secs_f64());
    let failed: Vec<&str> = steps.iter().filter(|(_, _, good)| !good).map(|(name, ..)| *name).collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}
