//! `cargo xtask matrix`: audits the TCP of several kernels and compares each with its saved profile.
//!
//! - [`profile`]: the saved audit of one kernel
//! - [`page`]: the kernels compared, as a page

mod page;
mod profile;

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use self::profile::Profile;
use crate::{
    privilege,
    vm::{
        Emulation,
        machine::{Machine, Options},
        programs::Programs,
    },
    workspace,
};

/// The files that an audit writes to its working directory.
const FILES: [&str; 2] = ["profile.json", "page.html"];

/// The audit's command line.
const AUDIT: [&str; 5] = ["audit", "--save", FILES[0], "--html", FILES[1]];

/// The page that compares the kernels.
const PAGE: &str = "kernels.md";

/// Options of the matrix.
#[derive(clap::Args)]
pub struct Matrix {
    /// Kernels: 5.10, 6.1, 6.12 or sid [default: all of them and the host's]
    kernels: Vec<String>,
    /// Save the results as the new profiles before comparing
    #[arg(long)]
    bless: bool,
    #[command(flatten)]
    options: Options,
}

/// Audits the kernels and compares the results with the saved profiles.
pub fn matrix(matrix: &Matrix) -> Result<()> {
    let out = workspace::target_dir().join("matrix");
    fs::create_dir_all(&out).with_context(|| format!("could not make {}", out.display()))?;
    let emulation = Emulation::provide(&matrix.kernels)?;
    let mut names = Vec::new();
    for machine in emulation.machines() {
        eprintln!("=== {machine}");
        audit_in(&machine, &matrix.options, &out)?;
        names.push(machine.kernel.name.to_owned());
    }
    if matrix.kernels.is_empty() {
        names.push(audit_here(&emulation.programs, &out)?);
    }
    let saved = saved_profiles();
    if matrix.bless {
        fs::create_dir_all(&saved)?;
        for name in &names {
            let seen = of(&out, name, profile::EXTENSION);
            let profile = Profile::read(&seen)?;
            let failed: Vec<_> =
                profile.behaviours.iter().filter(|one| one.status == profile::FAILED).collect();
            ensure!(
                failed.is_empty(),
                "some behaviours of {name} could not be audited: see {}",
                of(&out, name, "txt").display()
            );
            fs::copy(seen, of(&saved, name, profile::EXTENSION))?;
        }
        fs::write(published(), page::of(&Profile::all(&saved)?))?;
        eprintln!("Saved in {} and {}.", saved.display(), published().display());
    }
    let seen = names.iter().map(|name| Profile::read(&of(&out, name, profile::EXTENSION)));
    fs::write(out.join(PAGE), page::of(&seen.collect::<Result<Vec<_>>>()?))?;
    eprintln!("\nThe profiles, the HTML pages and {PAGE} are in {}.", out.display());
    compare(&emulation.programs, &names, &out, &saved)
}

/// The directory of the saved profiles.
fn saved_profiles() -> PathBuf {
    workspace::root().join("tests/profiles")
}

/// Where the page lies in the repository.
fn published() -> PathBuf {
    workspace::root().join("docs").join(PAGE)
}

/// A kernel's file of this kind. `with_extension` would cut the version at its dot.
fn of(directory: &Path, name: &str, kind: &str) -> PathBuf {
    directory.join(format!("{name}.{kind}"))
}

/// Audits a kernel in its machine; profile, page and table go to `out`.
fn audit_in(machine: &Machine, options: &Options, out: &Path) -> Result<()> {
    let name = machine.kernel.name;
    let table = of(out, name, "txt");
    let mut text = File::create(&table).with_context(|| format!("could not write {}", table.display()))?;
    let outcome = machine.run(&AUDIT.map(Into::into), options, &mut text)?;
    eprintln!("=== {outcome}");
    finish(name, outcome.code.into(), &machine.files(), &table, out)
}

/// Audits the host's kernel and returns its name.
fn audit_here(programs: &Programs, out: &Path) -> Result<String> {
    let name = host_version()?;
    eprintln!("=== the host's kernel, {name}");
    let table = of(out, &name, "txt");
    let mut audit = privilege::as_root(&programs.probe)?;
    audit.args(AUDIT).current_dir(out).stdout(File::create(&table)?);
    let status = audit.status().context("could not run probe")?;
    finish(&name, status.code().unwrap_or(-1), out, &table, out)?;
    Ok(name)
}

/// Prints an audit's summary and moves its files to `out`.
fn finish(name: &str, code: i32, files: &Path, table: &Path, out: &Path) -> Result<()> {
    ensure!(
        matches!(code, 0 | 1),
        "the audit of {name} failed with exit code {code}: see {}",
        table.display()
    );
    let text = fs::read_to_string(table)?;
    // The line before the last, which has the duration.
    if let Some(sum) = text.trim_end().lines().rev().nth(1) {
        eprintln!("{sum}");
    }
    for (file, extension) in FILES.into_iter().zip([profile::EXTENSION, "html"]) {
        let to = of(out, name, extension);
        fs::rename(files.join(file), &to).with_context(|| format!("could not write {}", to.display()))?;
    }
    Ok(())
}

/// The running kernel's name: the first two numbers of its release.
fn host_version() -> Result<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(release.split('.').take(2).collect::<Vec<_>>().join("."))
}

/// Compares each kernel with its saved profile and prints the differences.
fn compare(programs: &Programs, names: &[String], out: &Path, saved: &Path) -> Result<()> {
    let mut differing = Vec::new();
    for name in names {
        let written = of(saved, name, profile::EXTENSION);
        if !written.exists() {
            eprintln!("{name}: no saved profile; create one with `cargo xtask matrix --bless`");
            continue;
        }
        let mut diff = Command::new(&programs.probe);
        diff.args(["diff", "--behaviours"]).args([&written, &of(out, name, profile::EXTENSION)]);
        let output = diff.output().context("could not run probe")?;
        match output.status.code() {
            Some(0) => eprintln!("{name}: matches its profile"),
            Some(1) => {
                eprintln!("{name}: differs from {} (A)", written.display());
                io::stderr().write_all(&output.stdout)?;
                differing.push(name.as_str());
            }
            _ => bail!("probe diff failed: {}", String::from_utf8_lossy(&output.stderr).trim()),
        }
    }
    ensure!(differing.is_empty(), "these kernels differ from their profiles: {}", differing.join(", "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_matches_the_profiles() {
        let written = fs::read_to_string(published()).expect("the page exists");
        let page = page::of(&Profile::all(&saved_profiles()).expect("there are saved profiles"));
        if std::env::var_os("SNAPSHOTS").is_some_and(|action| action == "overwrite") {
            fs::write(published(), &page).expect("the page can be written");
            return;
        }
        assert!(
            written == page,
            "docs/kernels.md is stale: SNAPSHOTS=overwrite cargo test -p xtask page rewrites it"
        );
    }
}
