//! One kernel's commands, in its machine or on the host, and their results.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File},
    iter,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    HOST, differences,
    interface::Interface,
    of,
    profile::{self, AS_EXPECTED, FAILED, Profile},
};
use crate::{
    privilege,
    vm::{
        machine::{Machine, Options},
        programs::Programs,
        protocol,
    },
};

/// A command that every machine runs, in one boot.
pub struct Step {
    /// What its time is listed under.
    pub name: &'static str,
    words: &'static [&'static str],
    /// The greatest exit code that is no failure: an audit exits with 1 if a behaviour differs, which is in its profile.
    accepted: u8,
}

/// The file of the audit with the classic tracepoint.
const CLASSIC: &str = "classic.json";

/// The files of the other audit, each with its extension in the results.
const FILES: [(&str, &str); 2] = [("profile.json", profile::EXTENSION), ("page.html", "html")];

/// The directory of what a machine's init collects.
const COLLECTED: &str = "interface";

/// The steps of a machine, in order. `audit` uses the best backend that the kernel has.
pub const STEPS: &[Step] = &[
    Step { name: "interface", words: &[protocol::COLLECT, COLLECTED], accepted: 0 },
    Step {
        name: "audit",
        words: &["probe", "audit", "--save", FILES[0].0, "--html", FILES[1].0],
        accepted: 1,
    },
    Step {
        name: "audit, classic",
        words: &["probe", "--backend", "tracepoint", "audit", "--save", CLASSIC],
        accepted: 1,
    },
    Step { name: "scenarios", words: &["probe", "run"], accepted: 0 },
    Step { name: "scenarios, classic", words: &["probe", "--backend", "tracepoint", "run"], accepted: 0 },
];

/// The tests that compare probe with the kernel's own trace: one after the other, since that is of the whole host.
const TRUTH: [&str; 6] = [
    "--test-threads",
    "1",
    "cause_truth::no_cause",
    "scenario_truth::with_the_classic",
    "trace_truth::connections_on_the_classic",
    "trace_truth::transitions_on_the_classic",
];

/// Those of the other backend, and the first kernel that has it.
const TRUTH_OF_BTF: [&str; 3] = [
    "scenario_truth::with_the_btf",
    "trace_truth::connections_on_the_btf",
    "trace_truth::transitions_on_the_btf",
];
const BTF: [u32; 2] = [5, 12];

/// The column of their time, which follows the steps.
pub const TRUTH_COLUMN: &str = "truth";

/// The step that also audits the host.
const AUDIT: usize = 1;

/// A kernel that has been audited.
pub struct Audited {
    /// Its name.
    name: String,
    /// Time to its first step.
    pub boot: Duration,
    /// Time of each step.
    pub steps: Vec<Duration>,
    /// Time from the machine's start to its exit.
    pub total: Duration,
    /// The steps that failed, or printed something to standard error.
    failures: Vec<String>,
    profile: Profile,
}

impl fmt::Display for Audited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |is_so: fn(&profile::Behaviour) -> bool| {
            self.profile.behaviours.iter().filter(|one| is_so(one)).count()
        };
        let total = self.total.as_secs_f64();
        write!(
            f,
            "{} of {} as expected ({} by a known variant), {total:.1} s",
            count(|one| one.status == AS_EXPECTED),
            self.profile.behaviours.len(),
            count(|one| one.variant.is_some()),
        )
    }
}

impl Audited {
    /// What is wrong with this kernel's results: failed steps, and behaviours that failed or that the two backends report
    /// differently.
    pub fn troubles(&self, programs: &Programs, out: &Path) -> Result<Vec<String>> {
        let mut wrong = self.failures.clone();
        let failed = self.profile.behaviours.iter().filter(|one| one.status == FAILED);
        wrong.extend(failed.map(|one| format!("{} could not be audited", one.id)));
        let classic = of(out, &self.name, CLASSIC);
        if self.name != HOST
            && let Some(differences) =
                differences(programs, &of(out, &self.name, profile::EXTENSION), &classic)?
        {
            wrong.push(format!(
                "the backends report different behaviours:\n{}",
                String::from_utf8_lossy(&differences)
            ));
        }
        Ok(wrong)
    }
}

/// Runs all steps in a kernel's machine; the results go to `out`.
pub fn in_machine(machine: &Machine<'_>, options: &Options, out: &Path) -> Result<Audited> {
    let name = machine.kernel.name;
    let mut commands: Vec<Vec<OsString>> =
        STEPS.iter().map(|step| step.words.iter().map(Into::into).collect()).collect();
    commands.extend(truth(machine));
    let (text, messages) = (of(out, name, "txt"), of(out, name, "err"));
    let outcome = machine.run(&commands, options, &mut create(&text)?, &mut create(&messages)?)?;
    let mut failures = Vec::new();
    let steps = STEPS.iter().map(|step| (step.name, step.accepted)).chain([(TRUTH_COLUMN, 0)]);
    for ((step, accepted), (code, _)) in steps.zip(&outcome.commands) {
        if *code > accepted {
            failures.push(format!("{step}: exit code {code}: see {}", text.display()));
        }
    }
    let printed = fs::read_to_string(&messages)?;
    if !printed.is_empty() {
        failures.push(format!("messages on standard error:\n{printed}"));
    }
    move_files(&machine.files(), name, out)?;
    fs::rename(machine.files().join(CLASSIC), of(out, name, CLASSIC))?;
    let collected = machine.files().join(COLLECTED);
    Interface::collected(&collected, &machine.kernel.release)?.save(out, name)?;
    // The next command's machine would get a copy.
    fs::remove_dir_all(collected)?;
    Ok(Audited {
        name: name.to_owned(),
        boot: outcome.boot,
        steps: outcome.commands.iter().map(|(_, took)| *took).collect(),
        total: outcome.total,
        failures,
        profile: Profile::read(&of(out, name, profile::EXTENSION))?,
    })
}

/// The command that runs the tests, if they were built.
fn truth(machine: &Machine<'_>) -> Option<Vec<OsString>> {
    let program = &machine.programs().tests.program;
    if program.as_os_str().is_empty() {
        return None;
    }
    let of_btf: &[&str] = if version(&machine.kernel.release) < BTF { &[] } else { &TRUTH_OF_BTF };
    let arguments = TRUTH.iter().chain(of_btf).map(OsString::from);
    Some(iter::once(program.into()).chain(arguments).collect())
}

/// The first two numbers of a release.
fn version(release: &str) -> [u32; 2] {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    [(); 2].map(|()| numbers.next().unwrap_or(0))
}

/// Audits the host's kernel.
pub fn on_host(programs: &Programs, out: &Path) -> Result<Audited> {
    let text = of(out, HOST, "txt");
    let started = Instant::now();
    let mut audit = privilege::as_root(&programs.probe)?;
    audit.args(&STEPS[AUDIT].words[1..]).current_dir(out).stdout(create(&text)?);
    let status = audit.status().context("could not run probe")?;
    let total = started.elapsed();
    ensure!(matches!(status.code(), Some(0 | 1)), "the audit failed ({status}): see {}", text.display());
    move_files(out, HOST, out)?;
    let profile = Profile::read(&of(out, HOST, profile::EXTENSION))?;
    let mut steps = vec![Duration::ZERO; STEPS.len()];
    steps[AUDIT] = total;
    Ok(Audited { name: HOST.to_owned(), boot: Duration::ZERO, steps, total, failures: Vec::new(), profile })
}

/// Moves an audit's files to `out`.
fn move_files(from: &Path, name: &str, out: &Path) -> Result<()> {
    for (file, extension) in FILES {
        let to = of(out, name, extension);
        fs::rename(from.join(file), &to).with_context(|| format!("could not write {}", to.display()))?;
    }
    Ok(())
}

fn create(path: &PathBuf) -> Result<File> {
    File::create(path).with_context(|| format!("could not write {}", path.display()))
}
