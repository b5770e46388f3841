//! What a kernel's interface for TCP consists of: sysctls, tracepoints and enumerations.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::types::{self, Enumerators};
use crate::vm::protocol;

/// Enumerations whose names contain one of these.
const NAMED: &[&str] =
    &["drop_reason", "sk_rst_reason", "tcp_ca_state", "mptcp_event_type", "linux_mptcp_mib_field"];

/// Anonymous enumerations: the name that they get here, and an enumerator that only they have.
const ANONYMOUS: &[(&str, &str)] =
    &[("TCP states", "TCP_ESTABLISHED"), ("TcpExt counters", "LINUX_MIB_SYNCOOKIESSENT")];

/// Sysctls whose values depend on the machine or are random.
const OF_THE_MACHINE: &[&str] =
    &["net.ipv4.tcp_mem", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem", "net.ipv4.tcp_fastopen_key"];

/// One kernel's interface.
#[derive(Deserialize, Serialize)]
pub struct Interface {
    /// `uname -r`
    pub kernel: String,
    /// `uname -v`, which has the distribution's version.
    pub build: String,
    /// By name.
    pub sysctls: BTreeMap<String, Sysctl>,
    /// The fields, such as `__u16 family`, by `subsystem:name`.
    pub tracepoints: BTreeMap<String, Vec<String>>,
    /// By name. Of those with several definitions, the one with the most values.
    pub enumerations: BTreeMap<String, Enumerators>,
}

/// A sysctl.
#[derive(Deserialize, PartialEq, Serialize)]
pub struct Sysctl {
    /// Its value after the boot; `None` where that depends on the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The least and the greatest accepted number, such as `0 to 5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
}

impl Interface {
    /// Reads what a guest's init collected.
    pub fn collected(directory: &Path, release: &str) -> Result<Self> {
        let text = |name: &str| {
            fs::read_to_string(directory.join(name))
                .with_context(|| format!("could not read the collected {name}"))
        };
        let btf = fs::read(directory.join(protocol::TYPES)).context("could not read the type information")?;
        Ok(Self {
            kernel: release.to_owned(),
            build: text(protocol::VERSION)?.trim().to_owned(),
            sysctls: sysctls(&text(protocol::SYSCTLS)?, &text(protocol::RANGES)?),
            tracepoints: tracepoints(&directory.join(protocol::EVENTS))?,
            enumerations: enumerations(&btf)?,
        })
    }

    /// The saved interface of a kernel; `None` where none is saved.
    pub fn saved(directory: &Path, name: &str) -> Result<Option<Self>> {
        let file = path(directory, name);
        if !file.exists() {
            return Ok(None);
        }
        let text = fs::read(&file)?;
        serde_json::from_slice(&text).map(Some).with_context(|| format!("{} is no interface", file.display()))
    }

    /// Saves it under the kernel's name.
    pub fn save(&self, directory: &Path, name: &str) -> Result<()> {
        let file = path(directory, name);
        fs::create_dir_all(file.parent().context("it is in a directory")?)?;
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&file, text).with_context(|| format!("could not write {}", file.display()))
    }
}

/// The interfaces' files lie beside the profiles, in a directory of their own.
fn path(directory: &Path, name: &str) -> PathBuf {
    directory.join("interfaces").join(format!("{name}.json"))
}

fn sysctls(values: &str, ranges: &str) -> BTreeMap<String, Sysctl> {
    let ranges: BTreeMap<&str, &str> = ranges.lines().filter_map(|line| line.split_once(" = ")).collect();
    let one = |line: &str| {
        let (name, value) = line.split_once(" =")?;
        let default = (!OF_THE_MACHINE.contains(&name)).then(|| value.trim().to_owned());
        Some((
            name.to_owned(),
            Sysctl { default, range: ranges.get(name).map(|range| range.replace(' ', " to ")) },
        ))
    };
    values.lines().filter_map(one).collect()
}

fn tracepoints(directory: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let mut all = BTreeMap::new();
    for subsystem in fs::read_dir(directory)? {
        let subsystem = subsystem?;
        for event in fs::read_dir(subsystem.path())? {
            let event = event?;
            let name =
                [subsystem.file_name(), event.file_name()].map(|name| name.to_string_lossy().into_owned());
            all.insert(name.join(":"), fields(&fs::read_to_string(event.path())?));
        }
    }
    Ok(all)
}

/// The fields of an event's format, without those that all events have.
fn fields(format: &str) -> Vec<String> {
    let fields = format.lines().filter_map(|line| line.trim().strip_prefix("field:")?.split(';').next());
    fields.filter(|field| !field.contains(" common_")).map(str::to_owned).collect()
}

fn enumerations(btf: &[u8]) -> Result<BTreeMap<String, Enumerators>> {
    let mut all: BTreeMap<String, Enumerators> = BTreeMap::new();
    for (name, values) in types::enumerations(btf)? {
        let name = if name.is_empty() {
            let known = ANONYMOUS.iter().find(|(_, enumerator)| values.contains_key(*enumerator));
            known.map(|(name, _)| (*name).to_owned())
        } else {
            NAMED.iter().any(|part| name.contains(part)).then_some(name)
        };
        let Some(name) = name else { continue };
        let known = all.entry(name).or_default();
        if known.len() < values.len() {
            *known = values;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysctls_have_their_defaults_and_ranges() {
        let values = "net.ipv4.tcp_ecn = 2\nnet.ipv4.tcp_mem = 1 2 3\nnet.ipv4.ip_local_reserved_ports =\n";
        let all = sysctls(values, "net.ipv4.tcp_ecn = 0 5\n");
        let default = |name: &str| all[name].default.as_deref();
        assert_eq!(
            (default("net.ipv4.tcp_ecn"), all["net.ipv4.tcp_ecn"].range.as_deref()),
            (Some("2"), Some("0 to 5"))
        );
        assert_eq!(default("net.ipv4.ip_local_reserved_ports"), Some(""));
        assert_eq!(default("net.ipv4.tcp_mem"), None, "it depends on the machine's memory");
    }

    #[test]
    fn an_event_has_its_own_fields() {
        let format = "name: tcp_probe\nID: 1\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
                      \tfield:__u8 saddr[28];\toffset:8;\tsize:28;\tsigned:0;\n\tfield:__u16 family;\toffset:36;\n";
        assert_eq!(fields(format), ["__u8 saddr[28]", "__u16 family"]);
    }
}
