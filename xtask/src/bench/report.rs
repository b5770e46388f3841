//! The report: JSON for programs, Markdown for people.

use std::{fmt::Write as _, fs, path::Path, process::Command, thread};

use anyhow::{Context as _, Result};
use serde_json::{Value as Json, json};

use super::{publish, table::Table};

/// Everything that was measured, and the host it was measured on.
pub struct Report {
    host: Host,
    /// The scenarios' tables.
    pub tables: Vec<Table>,
    /// What could not be measured, with the reason.
    pub missing: Vec<(String, String)>,
}

/// The host.
struct Host {
    kernel: String,
    cpu: String,
    cpus: usize,
    probe: String,
}

impl Report {
    /// An empty report for this host and this probe.
    pub fn begin(probe: &Path) -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).with_context(|| format!("could not read {path}"));
        let cpus = read("/proc/cpuinfo")?;
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let version = Command::new(probe).arg("--version").output().context("could not run probe")?;
        let host = Host {
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            cpu: model.map_or("unknown", |(_, model)| model).to_owned(),
            cpus: thread::available_parallelism()?.get(),
            probe: String::from_utf8_lossy(&version.stdout).trim().to_owned(),
        };
        Ok(Self { host, tables: Vec::new(), missing: Vec::new() })
    }

    /// Writes `base`.json and `base`.md.
    pub fn write(&self, base: &Path) -> Result<()> {
        if let Some(directory) = base.parent() {
            fs::create_dir_all(directory)?;
        }
        let json = serde_json::to_string_pretty(&self.json())?;
        for (extension, text) in [("json", json), ("md", self.markdown())] {
            let path = base.with_extension(extension);
            fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
            eprintln!("written: {}", path.display());
        }
        Ok(())
    }

    /// Replaces the tables of an earlier run in a documentation page.
    ///
    /// # Errors
    /// The page cannot be read or written, or has an unterminated placeholder.
    pub fn publish(&self, page: &Path) -> Result<()> {
        let text = fs::read_to_string(page).with_context(|| format!("could not read {}", page.display()))?;
        let content = |name: &str| match name {
            "host" => Some(format!("{}\n", self.host_line())),
            name => {
                let (scenario, columns, rows) = publish::parts(name);
                let table = self.tables.iter().find(|table| table.name == scenario)?;
                Some(table.select(&columns, &rows).markdown())
            }
        };
        let new = publish::fill(&text, content).with_context(|| page.display().to_string())?;
        fs::write(page, new).with_context(|| format!("could not write {}", page.display()))
    }

    fn host_line(&self) -> String {
        let Host { kernel, cpu, cpus, probe } = &self.host;
        format!("{probe}, Linux {kernel}, {cpus} CPUs ({cpu})")
    }

    fn json(&self) -> Json {
        let Host { kernel, cpu, cpus, probe } = &self.host;
        let missing: Vec<Json> =
            self.missing.iter().map(|(what, why)| json!({ "what": what, "why": why })).collect();
        let tables: Vec<Json> = self.tables.iter().map(Table::json).collect();
        json!({
            "host": { "kernel": kernel, "cpu": cpu, "cpus": cpus },
            "probe": probe,
            "scenarios": tables,
            "missing": missing,
        })
    }

    fn markdown(&self) -> String {
        let mut text = format!("# {}\n", self.host_line());
        for table in &self.tables {
            let _ = write!(text, "\n{}", table.section());
        }
        if !self.missing.is_empty() {
            text.push_str("\n## not measured\n\n");
            for (what, why) in &self.missing {
                let _ = writeln!(text, "- {what}: {}", why.replace('\n', " "));
            }
        }
        text
    }
}
