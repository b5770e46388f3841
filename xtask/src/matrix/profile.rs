//! A saved audit of one kernel, as `probe audit --save` writes it.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::interface::Interface;

/// The file extension of profiles.
pub const EXTENSION: &str = "json";

/// The statuses that the matrix distinguishes.
pub const AS_EXPECTED: &str = "as-expected";
pub const FAILED: &str = "failed";

/// Values by name.
pub type Values = BTreeMap<String, Option<String>>;

/// One kernel's profile.
#[derive(Deserialize)]
pub struct Profile {
    /// The kernel's name here: its file name.
    #[serde(skip)]
    pub name: String,
    /// `uname -r`
    pub kernel: String,
    /// The backend that observed the behaviours.
    pub backend: String,
    /// Its build options.
    pub config: Option<Values>,
    /// The relevant sysctls, as in a new network namespace.
    pub sysctls: Values,
    /// Its behaviours, ordered by id.
    pub behaviours: Vec<Behaviour>,
    /// Its interface, from the file beside the profile; `None` where there is none.
    #[serde(skip)]
    pub interface: Option<Interface>,
}

/// The saved result of one behaviour.
#[derive(Deserialize)]
pub struct Behaviour {
    /// The slug.
    pub id: String,
    /// One sentence.
    pub description: String,
    /// The status, as the audit names it.
    pub status: String,
    /// The reason of a known variant.
    pub variant: Option<String>,
    /// Why it is unsupported or failed.
    pub reason: Option<String>,
    /// The state path of each socket.
    paths: BTreeMap<String, String>,
    /// The observed facts.
    facts: BTreeMap<String, String>,
}

impl Profile {
    /// Reads a profile.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read(file).with_context(|| format!("could not read {}", file.display()))?;
        let profile: Self =
            serde_json::from_slice(&text).with_context(|| format!("{} is not a profile", file.display()))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let interface = Interface::saved(file.parent().unwrap_or(Path::new("")), &name)?;
        Ok(Self { name, interface, ..profile })
    }

    /// Reads all profiles of a directory, oldest kernel first.
    pub fn all(directory: &Path) -> Result<Vec<Self>> {
        let mut profiles = Vec::new();
        for entry in
            fs::read_dir(directory).with_context(|| format!("could not read {}", directory.display()))?
        {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == EXTENSION) {
                profiles.push(Self::read(&file)?);
            }
        }
        profiles.sort_by_key(Self::version);
        Ok(profiles)
    }

    /// The leading numbers of its release.
    pub fn version(&self) -> Vec<u32> {
        self.kernel.split(['.', '-', '+']).map_while(|number| number.parse().ok()).collect()
    }

    /// The saved result of a behaviour.
    pub fn behaviour(&self, id: &str) -> Option<&Behaviour> {
        self.behaviours.iter().find(|behaviour| behaviour.id == id)
    }
}

impl Behaviour {
    /// Whether both kernels behave the same.
    pub fn is_as(&self, other: &Self) -> bool {
        let all =
            |one: &Self| (one.status.clone(), one.variant.clone(), one.paths.clone(), one.facts.clone());
        all(self) == all(other)
    }

    /// The paths and facts observed here and not there, as text.
    pub fn beside(&self, other: &Self) -> Vec<String> {
        let seen = |one: &Self| -> Vec<(String, String)> {
            let paths = one.paths.iter().map(|(label, path)| (label.clone(), path.replace(' ', " → ")));
            paths.chain(one.facts.clone()).collect()
        };
        let there = seen(other);
        let here = seen(self).into_iter().filter(|one| !there.contains(one));
        here.map(|(name, value)| format!("{name}: {value}")).collect()
    }
}
