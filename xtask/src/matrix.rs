//! `cargo xtask matrix`: audits the TCP of several kernels and compares each with its saved profile.
//!
//! - [`job`]: one kernel's commands in its machine, and their results
//! - [`profile`]: the saved audit of one kernel
//! - [`interface`]: its sysctls, tracepoints and enumerations, read by [`types`] from its type information
//! - [`page`]: the kernels compared, as a page; [`releases`] is its part about the interface

mod interface;
mod job;
mod page;
mod profile;
mod releases;
mod types;

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use self::{interface::Interface, job::Audited, profile::Profile};
use crate::{
    vm::{
        Emulation,
        machine::{self, Machine, Options},
        programs::{self, Programs},
    },
    workspace,
};

/// The page that compares the kernels.
const PAGE: &str = "kernels.md";

/// The name of the running kernel's profile.
const HOST: &str = "host";

/// Options of the matrix.
#[derive(clap::Args)]
pub struct Matrix {
    /// Kernels, such as 6.1 or sid [default: all of Debian's and the running one]
    kernels: Vec<String>,
    /// Save the results as the new profiles before comparing
    #[arg(long)]
    bless: bool,
    /// Machines that run at once [default: what the idle memory and the CPUs allow]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Leave out the integration tests that compare traces with the kernel's own, which take longest
    #[arg(long)]
    without_truth: bool,
    #[command(flatten)]
    options: Options,
}

/// Audits the kernels and compares the results with the saved profiles.
pub fn matrix(matrix: &Matrix) -> Result<()> {
    let out = workspace::target_dir().join("matrix");
    fs::create_dir_all(&out).with_context(|| format!("could not make {}", out.display()))?;
    let mut emulation = Emulation::provide(&matrix.kernels, programs::ALL)?;
    if !matrix.without_truth {
        emulation.add_tests()?;
    }
    let machines: Vec<_> = emulation.machines().collect();
    let jobs = matrix.jobs.unwrap_or_else(machine::at_once).clamp(1, machines.len().max(1));
    let mut results = all_of(&machines, jobs, |machine| job::in_machine(machine, &matrix.options, &out));
    if matrix.kernels.is_empty() {
        results.push((HOST.to_owned(), job::on_host(&emulation.programs, &out)));
    }
    let mut troubles = Vec::new();
    let mut names = Vec::new();
    for (name, audited) in &results {
        match audited {
            Ok(_) => names.push(name.clone()),
            Err(error) => troubles.push(format!("{name}: {error:#}")),
        }
    }
    eprint!("\n{}", times(&results));
    for (name, audited) in &results {
        if let Ok(audited) = audited {
            let wrong = audited.troubles(&emulation.programs, &out)?;
            troubles.extend(wrong.into_iter().map(|wrong| format!("{name}: {wrong}")));
        }
    }
    let saved = saved_profiles();
    if matrix.bless {
        // A profile with a failed behaviour would fail every later comparison.
        ensure!(troubles.is_empty(), "nothing is saved:\n{}", troubles.join("\n"));
        for name in &names {
            fs::copy(of(&out, name, profile::EXTENSION), of(&saved, name, profile::EXTENSION))?;
            if let Some(interface) = Interface::saved(&out, name)? {
                interface.save(&saved, name)?;
            }
        }
        fs::write(published(), page::of(&Profile::all(&saved)?))?;
        eprintln!("Saved in {} and {}.", saved.display(), published().display());
    }
    for gone in &emulation.gone {
        let profile = of(&saved, gone.name, profile::EXTENSION);
        let kept = match Profile::read(&profile) {
            Ok(profile) => format!("its profile is of {}", profile.kernel),
            Err(_) => "it has no profile".to_owned(),
        };
        eprintln!("{}: skipped: {}; {kept}", gone.name, gone.why);
    }
    let seen = names
        .iter()
        .map(|name| Profile::read(&of(&out, name, profile::EXTENSION)))
        .collect::<Result<Vec<_>>>()?;
    fs::write(out.join(PAGE), page::of(&seen))?;
    eprintln!("\nThe profiles, the HTML pages and {PAGE} are in {}.", out.display());
    troubles.extend(compare(&emulation.programs, &names, &out, &saved)?);
    ensure!(troubles.is_empty(), "{}", troubles.join("\n"));
    Ok(())
}

/// Audits the machines' kernels, `jobs` of them at once. The results are in the machines' order.
fn all_of(
    machines: &[Machine<'_>],
    jobs: usize,
    audit: impl Fn(&Machine<'_>) -> Result<Audited> + Sync,
) -> Vec<(String, Result<Audited>)> {
    let next = Mutex::new(machines.iter().enumerate());
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let Some((number, machine)) = next.lock().expect("no thread panicked").next() else {
                        break;
                    };
                    let audited = audit(machine);
                    let outcome = match &audited {
                        Ok(audited) => audited.to_string(),
                        Err(error) => format!("failed: {error:#}"),
                    };
                    eprintln!("=== {machine}: {outcome}");
                    results.lock().expect("no thread panicked").push((
                        number,
                        machine.kernel.name.to_owned(),
                        audited,
                    ));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no thread panicked");
    results.sort_by_key(|(number, ..)| *number);
    results.into_iter().map(|(_, name, audited)| (name, audited)).collect()
}

/// The time of each kernel's steps and of all kernels, as a table.
fn times(results: &[(String, Result<Audited>)]) -> String {
    let all: Vec<(&str, &Audited)> =
        results.iter().filter_map(|(name, audited)| Some((name.as_str(), audited.as_ref().ok()?))).collect();
    let mut table = format!("{:<14}{:>8}", "kernel", "boot");
    for step in job::STEPS {
        table += &format!("{:>22}", step.name);
    }
    table += &format!("{:>10}{:>10}\n", job::TRUTH_COLUMN, "total");
    for (name, audited) in &all {
        table += &format!("{name:<14}{:>6.1} s", audited.boot.as_secs_f64());
        let (steps, truth) = audited.steps.split_at(job::STEPS.len());
        for took in steps {
            table += &format!("{:>20.1} s", took.as_secs_f64());
        }
        table += &format!("{:>8.1} s", truth.iter().sum::<Duration>().as_secs_f64());
        table += &format!("{:>8.1} s\n", audited.total.as_secs_f64());
    }
    let sum: f64 = all.iter().map(|(_, audited)| audited.total.as_secs_f64()).sum();
    table + &format!("{} kernels in {sum:.1} s of machine time\n", all.len())
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

/// Compares each kernel with its saved profile, prints the differences and returns a line for each kernel that differs.
fn compare(programs: &Programs, names: &[String], out: &Path, saved: &Path) -> Result<Vec<String>> {
    let mut differing = Vec::new();
    for name in names {
        let (written, seen) = (of(saved, name, profile::EXTENSION), of(out, name, profile::EXTENSION));
        if !written.exists() {
            eprintln!("{name}: no saved profile; create one with `cargo xtask matrix --bless`");
            continue;
        }
        let (before, now) = (Profile::read(&written)?, Profile::read(&seen)?);
        if name == HOST && before.kernel != now.kernel {
            eprintln!("{name}: not compared: its profile is of {}, this is {}", before.kernel, now.kernel);
            continue;
        }
        match differences(programs, &written, &seen)? {
            None => eprintln!("{name}: matches its profile"),
            Some(differences) => {
                eprintln!("{name}: differs from {} (A)", written.display());
                io::stderr().write_all(&differences)?;
                differing.push(format!("{name}: differs from its profile"));
            }
        }
    }
    Ok(differing)
}

/// The differences between the behaviours of two profiles, as `probe diff` prints them; `None` if there are none.
fn differences(programs: &Programs, one: &Path, other: &Path) -> Result<Option<Vec<u8>>> {
    let mut diff = Command::new(&programs.probe);
    let output =
        diff.args(["diff", "--behaviours"]).args([one, other]).output().context("could not run probe")?;
    match output.status.code() {
        Some(0) => Ok(None),
        Some(1) => Ok(Some(output.stdout)),
        _ => bail!("probe diff failed: {}", String::from_utf8_lossy(&output.stderr).trim()),
    }
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
