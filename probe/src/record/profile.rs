//! Profiles: what an audit saves of a kernel, in a file that people can read and compare as text.
//!
//! A profile is one JSON object. Two audits of one kernel give the same bytes: it has no times, process ids or cookies,
//! and a fixed order.

mod compare;
mod pairs;

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::compare::compare;
use self::pairs::{Pairs, Path};
use super::named::ByName;
use crate::model::{Backend, BehaviourStatus, KernelFacts, Observation, Profile, ProfileEntry};

/// The format's name: what distinguishes a profile from any other file.
const FORMAT: &str = "probe-profile";

/// The version that this code writes, and the only one that it reads.
const VERSION: u32 = 1;

/// The largest file that is read, so that a file that is not a profile cannot fill the memory.
const LARGEST: u64 = 16 << 20;

/// Why a profile cannot be read.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// Not a profile.
    #[error("not a profile: {0}; `probe audit --save FILE` writes profiles")]
    Foreign(String),
    /// A profile in a format that this version does not know.
    #[error(
        "the profile is in version {found} of its format, and this probe reads version {VERSION}: audit that kernel \
         again with this probe, or compare with the probe that made it"
    )]
    Version {
        /// Its version.
        found: u32,
    },
    /// A profile that is not as it was written.
    #[error("the profile is corrupted: {0}")]
    Corrupted(serde_json::Error),
    /// The file cannot be read.
    #[error("cannot read the profile: {0}")]
    Io(#[from] io::Error),
}

/// What every version has.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    version: u32,
    kernel: String,
    arch: String,
    backend: ByName<Backend>,
    config: Option<Pairs<Option<String>>>,
    sysctls: Pairs<Option<String>>,
    behaviours: Vec<Entry>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    description: String,
    status: ByName<BehaviourStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    reference: String,
    paths: Pairs<Path>,
    facts: Pairs<String>,
}

/// Writes a profile.
///
/// # Errors
/// Those of `out`.
pub fn write(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &File::from(profile))?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Reads a profile.
///
/// # Errors
/// [`ProfileError`], where this is not a profile of this version.
pub fn read(input: impl Read) -> Result<Profile, ProfileError> {
    let mut bytes = Vec::new();
    input.take(LARGEST).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Err(ProfileError::Foreign("the file is empty".to_owned()));
    }
    match serde_json::from_slice::<Header>(&bytes) {
        Ok(header) if header.format != FORMAT => {
            Err(ProfileError::Foreign(format!("it names the format `{}`", header.format)))
        }
        Ok(header) if header.version != VERSION => Err(ProfileError::Version { found: header.version }),
        Ok(_) => {
            serde_json::from_slice::<File>(&bytes).map(File::into_profile).map_err(ProfileError::Corrupted)
        }
        // Whatever else is wrong, the file names the format.
        Err(error) if String::from_utf8_lossy(&bytes).contains(&format!("\"{FORMAT}\"")) => {
            Err(ProfileError::Corrupted(error))
        }
        Err(_) => Err(ProfileError::Foreign("the file does not name the format `probe-profile`".to_owned())),
    }
}

impl From<&Profile> for File {
    fn from(profile: &Profile) -> Self {
        let KernelFacts { kernel, arch, backend, config, sysctls } = profile.facts.clone();
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            kernel,
            arch,
            backend: ByName(backend),
            config: config.map(Pairs),
            sysctls: Pairs(sysctls),
            behaviours: profile.behaviours.iter().cloned().map(Entry::from).collect(),
        }
    }
}

impl File {
    fn into_profile(self) -> Profile {
        Profile {
            facts: KernelFacts {
                kernel: self.kernel,
                arch: self.arch,
                backend: self.backend.0,
                config: self.config.map(|config| config.0),
                sysctls: self.sysctls.0,
            },
            behaviours: self.behaviours.into_iter().map(ProfileEntry::from).collect(),
        }
    }
}

impl From<ProfileEntry> for Entry {
    fn from(entry: ProfileEntry) -> Self {
        let paths = entry.observed.paths.into_iter().map(|(label, path)| (label, Path(path)));
        Self {
            id: entry.id,
            description: entry.description,
            status: ByName(entry.status),
            variant: entry.variant,
            reason: entry.reason,
            reference: entry.reference,
            paths: Pairs(paths.collect()),
            facts: Pairs(entry.observed.facts),
        }
    }
}

impl From<Entry> for ProfileEntry {
    fn from(entry: Entry) -> Self {
        let paths = entry.paths.0.into_iter().map(|(label, path)| (label, path.0));
        Self {
            id: entry.id,
            description: entry.description,
            status: entry.status.0,
            variant: entry.variant,
            reason: entry.reason,
            reference: entry.reference,
            observed: Observation { paths: paths.collect(), facts: entry.facts.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::testing, record::arbitrary};

    fn written(profile: &Profile) -> String {
        let mut out = Vec::new();
        write(profile, &mut out).expect("a Vec accepts every write");
        String::from_utf8(out).expect("text")
    }

    fn error_of(text: &str) -> String {
        read(text.as_bytes()).expect_err("not a profile").to_string()
    }

    #[test]
    fn what_is_written_is_read() {
        let [profile, other] = testing::profiles();
        for profile in [profile, other] {
            assert_eq!(read(written(&profile).as_bytes()).expect("a profile"), profile);
        }
    }

    #[test]
    fn a_profile_is_text_that_people_can_compare() {
        insta::assert_snapshot!(written(&testing::profiles()[0]));
    }

    #[test]
    fn a_file_that_is_not_a_profile_is_rejected() {
        assert!(error_of("").contains("the file is empty"));
        assert!(error_of("\u{7f}ELF").contains("`probe audit --save FILE`"));
        assert!(error_of("[1]").starts_with("not a profile"));
        assert!(error_of(r#"{"format":"probe-recording","version":1}"#).contains("`probe-recording`"));
    }

    #[test]
    fn a_later_version_is_named() {
        let later = error_of(r#"{"format":"probe-profile","version":2,"news":[]}"#);
        assert!(later.contains("version 2") && later.contains("version 1"), "{later}");
    }

    #[test]
    fn damage_in_a_profile_is_named_with_its_line() {
        let whole = written(&testing::profiles()[0]);
        let cut = error_of(&whole[..whole.len() / 2]);
        assert!(cut.starts_with("the profile is corrupted: EOF") && cut.contains("line"), "{cut}");
        let wrong = error_of(&whole.replace("SYN_SENT", "SYN_LOST"));
        assert!(wrong.contains("there is no state `SYN_LOST`") && wrong.contains("line"), "{wrong}");
        let more = error_of(&whole.replacen("\"arch\"", "\"arc\"", 1));
        assert!(more.contains("unknown field `arc`"), "{more}");
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_written_is_read(profile in arbitrary::profile(), cut in 0.0..1.0_f64) {
            let text = written(&profile);
            proptest::prop_assert_eq!(&read(text.as_bytes()).expect("a profile"), &profile);
            proptest::prop_assert_eq!(compare(&profile, &profile), []);
            // The last byte is a newline. A profile without any other byte is not one any more.
            let rest = (text.len() as f64 * cut) as usize;
            proptest::prop_assert!(rest + 1 >= text.len() || read(&text.as_bytes()[..rest]).is_err());
        }

        #[test]
        fn a_comparison_is_symmetric(a in arbitrary::profile(), b in arbitrary::profile()) {
            proptest::prop_assert_eq!(compare(&a, &b).len(), compare(&b, &a).len());
        }
    }
}
