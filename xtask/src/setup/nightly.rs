//! rustup's nightly: usable if its library sources and bpf-linker are installed.

use std::{path::Path, process::Command};

use super::{new_enough, version};

/// What is missing to use rustup's nightly.
pub struct Missing {
    /// What is wrong with the nightly, and the command that fixes it.
    nightly: Option<(String, &'static str)>,
    /// Whether bpf-linker is missing.
    linker: bool,
}

impl Missing {
    /// The reasons in one phrase.
    pub fn reasons(&self) -> String {
        let nightly = self.nightly.as_ref().map(|(reason, _)| reason.as_str());
        let linker = self.linker.then_some("bpf-linker is not on PATH");
        nightly.into_iter().chain(linker).collect::<Vec<_>>().join("; ")
    }

    /// The commands that install what is missing, one per line.
    pub fn remedy(&self) -> String {
        let nightly = self.nightly.as_ref().map(|(_, remedy)| *remedy);
        let linker = self.linker.then_some(
            "cargo install bpf-linker    # needs LLVM's headers and libraries; its README has ready-made binaries",
        );
        nightly.into_iter().chain(linker).map(|command| format!("    {command}\n")).collect()
    }
}

/// Checks for a nightly that can compile `core`, and for bpf-linker.
pub fn find() -> Result<(), Missing> {
    let lacks =
        Missing { nightly: lacking_nightly(), linker: version(&mut Command::new("bpf-linker")).is_err() };
    if lacks.nightly.is_none() && !lacks.linker { Ok(()) } else { Err(lacks) }
}

/// What is wrong with the nightly, and the command that fixes it.
fn lacking_nightly() -> Option<(String, &'static str)> {
    const INSTALL: &str = "rustup toolchain install nightly --component rust-src";
    if version(&mut Command::new("rustup")).is_err() {
        return Some((
            "rustup is not on PATH".into(),
            "rustup, see https://rustup.rs; then rustup toolchain install nightly --component rust-src",
        ));
    }
    let (Some(sysroot), Some(version)) = (rustc(&["--print", "sysroot"]), rustc(&["--version"])) else {
        return Some(("there is no nightly toolchain".into(), INSTALL));
    };
    // `rustc 1.97.0-nightly (e50aa6fba 2026-05-19)`
    let number = version.split(' ').nth(1).unwrap_or_default();
    if !new_enough(number) {
        return Some((format!("nightly {number} is too old"), "rustup update nightly"));
    }
    // rustup may list the component although its files are missing.
    if !Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/src/lib.rs").exists() {
        let remedy = "rustup component add rust-src --toolchain nightly";
        return Some((format!("nightly {number} lacks rust-src"), remedy));
    }
    None
}

/// The nightly rustc's output; `None` if there is none. Keeps rustup from downloading one.
fn rustc(args: &[&str]) -> Option<String> {
    let mut rustup = Command::new("rustup");
    rustup.args(["run", "nightly", "rustc"]).args(args).env("RUSTUP_AUTO_INSTALL", "0");
    let output = rustup.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
