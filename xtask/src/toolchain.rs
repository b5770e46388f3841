//! The toolchain that compiles the BPF programs, as found by `cargo xtask setup`, and its command line.
//!
//! Compiled into two programs: xtask, which saves the choice, and `probe/build.rs`, which reads it.

use std::{
    env,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

/// The directory below cargo's target directory that holds everything set-up creates.
const DIRECTORY: &str = "bpf-toolchain";

/// A toolchain for the BPF target.
#[derive(Clone, Debug, PartialEq)]
pub enum Toolchain {
    /// rustup's nightly, which compiles `core` from rust-src, and the `bpf-linker` on PATH.
    Nightly,
    /// Debian's rustc, whose `core` is already compiled for BPF.
    Debian {
        /// The compiler.
        rustc: PathBuf,
        /// Libraries that compiler and linker load at run time: LLVM and the compiler's own.
        libraries: PathBuf,
        /// bpf-linker, built against that LLVM.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// The set-up directory, given cargo's target directory.
    pub fn directory(target_dir: &Path) -> PathBuf {
        target_dir.join(DIRECTORY)
    }

    /// The file that holds the choice.
    pub fn file(target_dir: &Path) -> PathBuf {
        Self::directory(target_dir).join("toolchain")
    }

    /// Parses what [`Display`](fmt::Display) writes; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            text.lines().filter_map(|line| line.split_once(" = ")).find(|(k, _)| *k == key).map(|(_, v)| v)
        };
        match value("kind")? {
            "nightly" => Some(Self::Nightly),
            "debian" => Some(Self::Debian {
                rustc: value("rustc")?.into(),
                libraries: value("libraries")?.into(),
                linker: value("linker")?.into(),
            }),
            _ => None,
        }
    }

    /// `cargo SUBCOMMAND` on the BPF programs, for a kernel of architecture `arch` (rustc's
    /// name for it).
    pub fn cargo(&self, subcommand: &str, arch: &str, target: &str, target_dir: &Path) -> Command {
        let mut cargo = match self {
            Self::Nightly => {
                let mut rustup = Command::new("rustup");
                rustup.args(["run", "nightly", "cargo", subcommand, "-Zbuild-std=core"]);
                rustup
            }
            Self::Debian { rustc, libraries, linker } => {
                // The host's cargo would run the host's clippy, which cannot read this compiler's `core`.
                let mut cargo = match subcommand {
                    "clippy" => Command::new(rustc.with_file_name("cargo-clippy")),
                    _ => Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
                };
                cargo
                    .arg(subcommand)
                    .env("RUSTC", rustc)
                    .env("LD_LIBRARY_PATH", with_libraries(libraries))
                    // Inline assembly for BPF is unstable.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env(linker_variable(target), linker);
                cargo
            }
        };
        cargo
            .args(["--package", "probe-ebpf", "--bin", "probe-kernel", "--features", "ebpf", "--release"])
            .args(["--target", target])
            .arg("--target-dir")
            .arg(target_dir)
            // The kernel requires debug information for all functions of a program or for none:
            // hence the same level in every crate. `bpf_target_arch` is aya's.
            .env(
                "CARGO_ENCODED_RUSTFLAGS",
                format!("--cfg=bpf_target_arch=\"{arch}\"\x1f-Cdebuginfo=2\x1f-Clink-arg=--btf"),
            )
            // An outer `cargo clippy` sets it to the host's clippy.
            .env_remove("RUSTC_WORKSPACE_WRAPPER");
        cargo
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "# The BPF toolchain, as `cargo xtask setup` found it.")?;
        match self {
            Self::Nightly => writeln!(f, "kind = nightly"),
            Self::Debian { rustc, libraries, linker } => {
                writeln!(f, "kind = debian")?;
                writeln!(f, "rustc = {}", rustc.display())?;
                writeln!(f, "libraries = {}", libraries.display())?;
                writeln!(f, "linker = {}", linker.display())
            }
        }
    }
}

/// The BPF target with this byte order: `little` or `big`.
pub fn bpf_target(endian: &str) -> &'static str {
    if endian == "big" { "bpfeb-unknown-none" } else { "bpfel-unknown-none" }
}

/// LD_LIBRARY_PATH with `libraries` first.
pub fn with_libraries(libraries: &Path) -> OsString {
    let mut path = libraries.as_os_str().to_owned();
    if let Some(rest) = env::var_os("LD_LIBRARY_PATH").filter(|rest| !rest.is_empty()) {
        path.push(":");
        path.push(rest);
    }
    path
}

/// The environment variable of a target's linker.
fn linker_variable(target: &str) -> String {
    format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"))
}
