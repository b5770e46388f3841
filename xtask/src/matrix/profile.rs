//! What an audit kept of one kernel, as `probe audit --save` writes it.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// What the names of profiles' files end with.
pub const EXTENSION: &str = "json";

/// The statuses that the matrix looks at.
pub const AS_EXPECTED: &str = "as-expected";
pub const FAILED: &str = "failed";

/// Names with their values.
pub type Values = BTreeMap<String, Option<String>>;

/// What one kernel does.
#[derive(Deserialize)]
pub struct Profile {
    /// What the kernel is called here: its file's name.
    #[serde(skip)]
    pub name: String,
    /// `uname -r`
    pub kernel: String,
    /// What the behaviours were observed by.
    pub backend: String,
    /// The options that it was built with.
    pub config: Option<Values>,
    /// The sysctls that matter, as a new network namespace has them.
    pub sysctls: Values,
    /// What it does, ordered by id.
    pub behaviours: Vec<Behaviour>,
}

/// What is kept of one behaviour.
#[derive(Deserialize)]
pub struct Behaviour {
    /// The slug.
    pub id: String,
    /// One sentence.
    pub description: String,
    /// As the audit names it.
    pub status: String,
    /// Why it is otherwise than the catalogue's entry says.
    pub variant: Option<String>,
    /// Why it could not be seen.
    pub reason: Option<String>,
    /// Each socket's path.
    paths: BTreeMap<String, String>,
    /// What was stated.
    facts: BTreeMap<String, String>,
}

impl Profile {
    /// Reads one.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read(file).with_context(|| format!("could not read {}", file.display()))?;
        let profile: Self =
            serde_json::from_slice(&text).with_context(|| format!("{} is no profile", file.display()))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, ..profile })
    }

    /// Reads all that lie in a directory, the oldest kernel first.
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

    /// The numbers that its release begins with.
    pub fn version(&self) -> Vec<u32> {
        self.kernel.split(['.', '-', '+']).map_while(|number| number.parse().ok()).collect()
    }

    /// What is kept of a behaviour.
    pub fn behaviour(&self, id: &str) -> Option<&Behaviour> {
        self.behaviours.iter().find(|behaviour| behaviour.id == id)
    }
}

impl Behaviour {
    /// Whether two kernels do the same.
    pub fn is_as(&self, other: &Self) -> bool {
        let all =
            |one: &Self| (one.status.clone(), one.variant.clone(), one.paths.clone(), one.facts.clone());
        all(self) == all(other)
    }

    /// What was seen here and not there: each path and fact, in words.
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
