//! `cargo xtask setup`: finds or provides a toolchain for the BPF target.
//!
//! It tries, in this order: the toolchain that an earlier run found; rustup's nightly; Debian's packages, unpacked
//! below cargo's target directory so that the host is unchanged; the same packages, installed. If
//! none works, the error says what to install.

mod debian;
mod linker;
mod nightly;

use std::{fs, path::Path, process::Command, time::Instant};

use anyhow::{Context as _, Result, bail};

use crate::{
    log::Log,
    toolchain::{Toolchain, with_libraries},
    workspace,
};

/// The oldest rustc that compiles the workspace: `rust-version` in its Cargo.toml.
const OLDEST_RUSTC: &str = env!("CARGO_PKG_RUST_VERSION");

/// Sets up the toolchain and prints its versions.
pub fn setup() -> Result<()> {
    let toolchain = toolchain()?;
    eprintln!("The BPF toolchain is set up: {}.", versions(&toolchain)?);
    Ok(())
}

/// The toolchain that an earlier run saved, otherwise one found or provided now, which is saved.
pub fn toolchain() -> Result<Toolchain> {
    let target_dir = workspace::target_dir();
    let file = Toolchain::file(&target_dir);
    let known = fs::read_to_string(&file).ok().and_then(|text| Toolchain::parse(&text));
    if let Some(toolchain) = known.filter(|toolchain| versions(toolchain).is_ok()) {
        return Ok(toolchain);
    }
    let directory = Toolchain::directory(&target_dir);
    fs::create_dir_all(&directory).with_context(|| format!("could not create {}", directory.display()))?;
    eprintln!("Setting up the BPF toolchain in {}", directory.display());
    let log = Log::create(directory.join("setup.log"))?;
    let started = Instant::now();
    let toolchain = provide(&directory, &log)?;
    versions(&toolchain)?;
    fs::write(&file, toolchain.to_string()).with_context(|| format!("could not write {}", file.display()))?;
    eprintln!("  set-up took {:.1} s", started.elapsed().as_secs_f64());
    Ok(toolchain)
}

/// Tries each source in turn and prints why one is unusable.
fn provide(directory: &Path, log: &Log) -> Result<Toolchain> {
    let no_nightly = match nightly::find() {
        Ok(()) => return Ok(Toolchain::Nightly),
        Err(missing) => missing,
    };
    eprintln!("  rustup's nightly: {}", no_nightly.reasons());
    let no_debian = match debian::provide(directory, log) {
        Ok(toolchain) => return Ok(toolchain),
        Err(error) => error,
    };
    bail!(
        "no toolchain for the BPF programs was found, and none could be provided.\n\
         - rustup's nightly: {}.\n\
         - Debian's packages: {no_debian:#}.\n\
         What to install:\n{}\
         Then run `cargo xtask setup` again.",
        no_nightly.reasons(),
        no_nightly.remedy(),
    )
}

/// The versions of compiler and linker, which also checks that they run on this host.
fn versions(toolchain: &Toolchain) -> Result<String> {
    match toolchain {
        Toolchain::Nightly => match nightly::find() {
            Ok(()) => Ok(format!("rustup's nightly and {}", version(&mut Command::new("bpf-linker"))?)),
            Err(missing) => bail!("{}", missing.reasons()),
        },
        Toolchain::Debian { rustc, libraries, linker } => {
            let with_libraries = with_libraries(libraries);
            let rustc = version(Command::new(rustc).env("LD_LIBRARY_PATH", &with_libraries))?;
            let linker = version(Command::new(linker).env("LD_LIBRARY_PATH", &with_libraries))?;
            Ok(format!("Debian's {rustc} and {linker}"))
        }
    }
}

/// The first line of `PROGRAM --version`.
fn version(program: &mut Command) -> Result<String> {
    let name = program.get_program().display().to_string();
    let output = program.arg("--version").output().with_context(|| format!("could not run {name}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().next() {
        Some(line) if output.status.success() => Ok(line.to_owned()),
        _ => bail!("{name} does not run on this host: {}", String::from_utf8_lossy(&output.stderr).trim()),
    }
}

/// Whether a version such as `1.96.0+dfsg1` or `1.97.0-nightly` is at least [`OLDEST_RUSTC`].
fn new_enough(version: &str) -> bool {
    numbers(version) >= numbers(OLDEST_RUSTC)
}

/// Major and minor of a version.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let (major, rest) = version.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Toolchain, new_enough};

    #[test]
    fn a_saved_toolchain_round_trips() {
        let debian = Toolchain::Debian {
            rustc: "/a b/rustc".into(),
            libraries: "/lib".into(),
            linker: "/bin/bpf-linker".into(),
        };
        for toolchain in [Toolchain::Nightly, debian] {
            assert_eq!(Toolchain::parse(&toolchain.to_string()), Some(toolchain));
        }
        assert_eq!(Toolchain::parse(""), None);
        assert_eq!(Toolchain::parse("kind = debian\nrustc = /usr/bin/rustc\n"), None);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(new_enough("1.96.0+dfsg1-1~deb12u2"));
        assert!(new_enough("1.100.0-nightly"));
        assert!(new_enough("2.0"));
        assert!(!new_enough("1.85.0+dfsg3-1~deb12u3"));
        assert!(!new_enough("1.9.0"));
        assert!(!new_enough("(none)"));
    }
}
