//! Comparable tracers: those installed on this host, otherwise Debian's packages, unpacked below cargo's target
//! directory.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::tracer::{Tracer, bpftrace, libbpf, on_path, perf};
use crate::{apt::Apt, log::Log};

/// Packages that may be fetched, with the programs in them.
const PACKAGES: [(&str, &[&str]); 3] =
    [("libbpf-tools", &["tcpstates", "tcplife"]), ("bpftrace", &["bpftrace"]), ("linux-perf", &["perf"])];

/// Where to find the programs.
pub struct Peers {
    /// The directory given with --peers.
    directory: Option<PathBuf>,
    /// The directory of unpacked packages.
    unpacked: PathBuf,
}

impl Peers {
    /// Searches `directory`, PATH, and the packages that an earlier run unpacked in `unpacked`.
    ///
    /// # Errors
    /// `directory` does not exist.
    pub fn new(directory: Option<PathBuf>, unpacked: PathBuf) -> Result<Self> {
        let found = |named: PathBuf| {
            named.canonicalize().with_context(|| format!("no directory {}", named.display()))
        };
        Ok(Self { directory: directory.map(found).transpose()?, unpacked })
    }

    /// All tracers whose programs are available. Missing ones are fetched; `missing` receives the reason where that fails.
    pub fn tracers(&self, mut missing: impl FnMut(&str, anyhow::Error)) -> Vec<Tracer> {
        for (package, programs) in PACKAGES {
            if programs.iter().any(|program| self.find(program).is_none())
                && let Err(error) = self.unpack(package)
            {
                missing(&programs.join(", "), error);
            }
        }
        let mut tracers = Vec::new();
        tracers.extend(self.find("tcpstates").map(libbpf::tcpstates));
        tracers.extend(self.find("tcplife").map(libbpf::tcplife));
        if let Some(program) = self.find("bpftrace") {
            let libraries = program.starts_with(&self.unpacked).then(|| self.libraries());
            tracers.extend(bpftrace::both(program, libraries));
        }
        tracers.extend(self.find("perf").into_iter().flat_map(perf::both));
        tracers
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        let named = self.directory.iter().map(|directory| directory.join(program));
        let unpacked = PACKAGES.iter().flat_map(|(package, _)| {
            ["usr/sbin", "usr/bin"].map(|part| self.unpacked.join(package).join(part).join(program))
        });
        named.chain(on_path(program)).chain(unpacked).find(|file| file.is_file())
    }

    /// The library directory of an unpacked bpftrace.
    fn libraries(&self) -> PathBuf {
        let name = format!("{}-linux-gnu", std::env::consts::ARCH);
        self.unpacked.join("bpftrace/usr/lib").join(name)
    }

    /// Downloads and unpacks a package with the libraries that this host lacks.
    fn unpack(&self, package: &str) -> Result<()> {
        ensure!(on_path("apt-get").is_some(), "not installed, and there is no apt-get to fetch {package}");
        fs::create_dir_all(&self.unpacked)?;
        let log = Log::create(self.unpacked.join("peers.log"))?;
        let apt = Apt::new(self.unpacked.join("apt"), &log)?;
        log.step(&format!("fetching Debian's {package}"), || {
            // An unrelated apt source may fail; what matters is whether apt knows the package afterwards.
            let _ = apt.update();
            let mut packages = apt.would_install(package)?;
            // glibc must match the host's dynamic loader.
            packages.retain(|name| name != "libc6");
            apt.download(&packages)?;
            apt.unpack(&self.unpacked.join(package))
        })
        .with_context(|| format!("not installed, and {package} could not be fetched"))?;
        apt.clean()
    }
}
