//! rustup's nightly: usable where its library sources and bpf-linker are really there.

use std::{path::Path, process::Command};

use super::{new_enough, version};

/// What is missing for the use of rustup's nightly.
pub struct Lacks {
    /// The nightly itself, or part of it: what is wrong, and the command that cures it.
    nightly: Option<(String, &'static str)>,
    /// Whether there is a bpf-linker.
    linker: bool,
}

impl Lacks {
    /// What is missing, in one phrase.
    pub fn reasons(&self) -> String {
        let nightly = self.nightly.as_ref().map(|(reason, _)| reason.as_str());
        let linker = self.linker.then_some("bpf-linker is not on PATH");
        nightly.into_iter().chain(linker).collect::<Vec<_>>().join("; ")
    }

    /// The commands that provide what is missing, one a line.
    pub fn cure(&self) -> String {
        let nightly = self.nightly.as_ref().map(|(_, cure)| *cure);
        let linker = self.linker.then_some(
            "cargo install bpf-linker    # needs LLVM's headers and libraries; its README has ready-made binaries",
        );
        nightly.into_iter().chain(linker).map(|command| format!("    {command}\n")).collect()
    }
}

/// Looks for a nightly that can compile `core`, and for bpf-linker.
pub fn find() -> Result<(), Lacks> {
    let lacks =
        Lacks { nightly: lacking_nightly(), linker: version(&mut Command::new("bpf-linker")).is_err() };
    if lacks.nightly.is_none() && !lacks.linker { Ok(()) } else { Err(lacks) }
}

fn lacking_nightly() -> Option<(String, &'static str)> {
    const INSTALL: &str = "rustup toolchain install nightly --component rust-src";
    if let Err(error) = version(&mut Command::new("rustup")) {
        return Some((
            error.to_string(),
            "rustup, from https://rustup.rs, then rustup toolchain install nightly --component rust-src",
        ));
    }
    let (Ok(sysroot), Ok(version)) = (rustc(&["--print", "sysroot"]), rustc(&["--version"])) else {
        return Some(("there is no nightly toolchain".into(), INSTALL));
    };
    let number = version.split(' ').nth(1).unwrap_or_default();
    if !new_enough(number) {
        return Some((format!("{version} is too old"), "rustup update nightly"));
    }
    // rustup may list the component, or the toolchain, without these files being there.
    let core = Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/src/lib.rs");
    if !core.exists() {
        return Some((
            format!("nightly {number} is without rust-src"),
            "rustup component add rust-src --toolchain nightly",
        ));
    }
    None
}

/// One line from the nightly's rustc. rustup is kept from fetching what is not there.
fn rustc(args: &[&str]) -> Result<String, ()> {
    let output = Command::new("rustup")
        .args(["run", "nightly", "rustc"])
        .args(args)
        .env("RUSTUP_AUTO_INSTALL", "0")
        .output()
        .map_err(drop)?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(())
    }
}
