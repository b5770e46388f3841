//! The programs of the guest: probe, and the init that starts it. Both are linked statically, since the initramfs has
//! no libraries unless tests run in it.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::workspace;

/// Paths of the programs, which also run on the host.
pub struct Programs {
    /// probe itself.
    pub probe: PathBuf,
    /// The guest's init.
    pub init: PathBuf,
    /// The integration tests, if they shall run in the guest.
    pub tests: Tests,
}

/// The integration tests, to run in a guest.
#[derive(Default)]
pub struct Tests {
    /// The test program, at the same path in the guest; empty where no tests run.
    pub program: PathBuf,
    /// Every file that it needs there: its path in the guest, and the file.
    pub files: Vec<(PathBuf, PathBuf)>,
}

/// Commands that the tests run.
const COMMANDS: [&str; 4] = ["cat", "ip", "tail", "true"];

impl Tests {
    /// Builds them with the host's libraries, stripped into `directory`: the guest's memory has to hold them.
    pub fn build(directory: &Path) -> Result<Self> {
        let mut cargo = workspace::cargo("test");
        cargo.args(["--no-run", "--package", "probe", "--test", "tests", "--message-format", "json"]);
        let output = cargo.stderr(Stdio::inherit()).output().context("could not run cargo")?;
        ensure!(output.status.success(), "building the tests failed");
        let built = executables(&String::from_utf8_lossy(&output.stdout));
        let program = |name: &str| -> Result<PathBuf> {
            let found = built.iter().find(|(target, _)| target == name);
            found.map(|(_, path)| path.clone()).with_context(|| format!("cargo built no {name}"))
        };
        fs::create_dir_all(directory)?;
        let mut files = Vec::new();
        let mut needing = Vec::new();
        for name in ["tests", "probe"] {
            let (from, to) = (program(name)?, directory.join(name));
            let status = Command::new("strip").arg("-o").arg(&to).arg(&from).status();
            ensure!(status.context("could not run strip")?.success(), "stripping {name} failed");
            needing.push(to.clone());
            files.push((from, to));
        }
        for name in COMMANDS {
            let paths = env::var_os("PATH").unwrap_or_default();
            let found = env::split_paths(&paths).map(|path| path.join(name)).find(|path| path.exists());
            let path = found.with_context(|| format!("the tests need {name}"))?;
            needing.push(path.clone());
            files.push((Path::new("/bin").join(name), path));
        }
        let mut libraries = BTreeSet::new();
        for file in needing {
            let output = Command::new("ldd").arg(&file).output().context("could not run ldd")?;
            libraries.extend(shared_libraries(&String::from_utf8_lossy(&output.stdout)));
        }
        files.extend(libraries.into_iter().map(|path| (path.clone(), path)));
        Ok(Self { program: program("tests")?, files })
    }
}

/// Names and paths of the executables in cargo's JSON messages.
fn executables(messages: &str) -> Vec<(String, PathBuf)> {
    let one = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let (name, path) = (message["target"]["name"].as_str()?, message["executable"].as_str()?);
        Some((name.to_owned(), path.into()))
    };
    messages.lines().filter_map(one).collect()
}

/// The paths in the output of ldd(1).
fn shared_libraries(output: &str) -> Vec<PathBuf> {
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    output.lines().filter_map(path).collect()
}

/// The programs of the guest.
pub const ALL: &[&str] = &["probe", "init"];

/// Those that every guest needs, where only tests run.
pub const FOR_TESTS: &[&str] = &["init"];

/// Builds these of the programs.
pub fn build(names: &[&str]) -> Result<Programs> {
    let target = workspace::host()?;
    let mut cargo = workspace::cargo("build");
    cargo
        .args(["--profile", "guest", "--package", "probe", "--package", "xtask"])
        .args(names.iter().flat_map(|name| ["--bin", name]))
        // With an explicit target the flags do not apply to build scripts and proc macros, which cannot be static.
        .args(["--target", &target])
        .env(workspace::variable_of_target(&target, "RUSTFLAGS"), "-C target-feature=+crt-static");
    let status = cargo.status().context("could not run cargo")?;
    ensure!(status.success(), "building the programs failed");
    let built = workspace::target_dir().join(target).join("guest");
    Ok(Programs { probe: built.join("probe"), init: built.join("init"), tests: Tests::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_in_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"probe"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"probe"},"executable":"/target/debug/probe"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executables(messages), [("probe".to_owned(), PathBuf::from("/target/debug/probe"))]);
    }

    #[test]
    fn libraries_are_found_by_their_paths() {
        let output = "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibc.so.6 => /lib/libc.so.6 (0x00007f)\n\t/lib64/ld-linux.so.2 (0x7f)\n";
        assert_eq!(
            shared_libraries(output),
            [PathBuf::from("/lib/libc.so.6"), "/lib64/ld-linux.so.2".into()]
        );
    }
}
