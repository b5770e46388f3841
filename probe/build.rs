//! Compiles the BPF programs for `aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/probe-kernel"))`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context as _, Result, ensure};

#[path = "../xtask/src/toolchain.rs"]
mod toolchain;
use toolchain::Toolchain;

fn main() -> Result<()> {
    let probe = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = probe.parent().context("the package directory has no parent")?;
    for file in
        ["Cargo.lock", "Cargo.toml", "probe-ebpf/Cargo.toml", "probe-ebpf/src", "xtask/src/toolchain.rs"]
    {
        rerun_if_changed(&workspace.join(file));
    }
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let Some((toolchain, target_dir)) = find_toolchain(&out_dir, workspace) else {
        println!("cargo::error=the BPF toolchain is not set up: run `cargo xtask setup`");
        return Ok(());
    };
    match toolchain {
        Toolchain::Nightly => aya_build::build_ebpf(
            [aya_build::Package {
                name: "probe-ebpf",
                root_dir: workspace
                    .join("probe-ebpf")
                    .to_str()
                    .context("the workspace's path is not UTF-8")?,
                features: &["ebpf"],
                ..Default::default()
            }],
            aya_build::Toolchain::Nightly,
        ),
        // aya-build supports only a compiler from rustup or from PATH.
        Toolchain::Debian { .. } => build(&toolchain, &target_dir, &out_dir.join("probe-kernel")),
    }
}

/// Compiles with Debian's toolchain, and copies the object to where the library includes it from.
fn build(toolchain: &Toolchain, target_dir: &Path, to: &Path) -> Result<()> {
    let target = toolchain::bpf_target(&variable("CARGO_CFG_TARGET_ENDIAN")?);
    // One directory for all profiles and all OUT_DIRs: the programs are always compiled for release.
    let build_dir = Toolchain::directory(target_dir).join("build");
    let arch = variable("CARGO_CFG_TARGET_ARCH")?;
    let mut cargo = toolchain.cargo("build", &arch, target, &build_dir);
    let output = cargo.arg("--quiet").output().with_context(|| format!("cannot run {cargo:?}"))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        eprintln!("{messages}");
        process::exit(1);
    }
    for line in messages.lines() {
        println!("cargo::warning={line}");
    }
    let object = build_dir.join(target).join("release").join("probe-kernel");
    ensure!(object.exists(), "{cargo:?} did not create {}", object.display());
    fs::copy(&object, to).with_context(|| format!("cannot copy {} to {}", object.display(), to.display()))?;
    Ok(())
}

/// The toolchain that `cargo xtask setup` has chosen, and the target directory in which it is: that of this build, or else
/// the workspace's own.
fn find_toolchain(out_dir: &Path, workspace: &Path) -> Option<(Toolchain, PathBuf)> {
    let own = workspace.join("target");
    out_dir.ancestors().chain([own.as_path()]).find_map(|target_dir| {
        let file = Toolchain::file(target_dir);
        let toolchain = Toolchain::parse(&fs::read_to_string(&file).ok()?)?;
        rerun_if_changed(&file);
        Some((toolchain, target_dir.to_owned()))
    })
}

fn rerun_if_changed(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("{name} is not set: run this as a cargo build script"))
}
