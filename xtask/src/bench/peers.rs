//! The tracers that people use in place of probe: those on this host, or else Debian's packages, unpacked
//! below cargo's target directory.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::tracer::{Tracer, bpftrace, libbpf, on_path, perf};
use crate::{apt::Apt, log::Log};

/// The packages that are unpacked, and the programs in them.
const PACKAGES: [(&str, &[&str]); 3] =
    [("libbpf-tools", &["tcpstates", "tcplife"]), ("bpftrace", &["bpftrace"]), ("linux-perf", &["perf"])];

/// Where programs are found.
pub struct Peers {
    /// What the user has named.
    directory: Option<PathBuf>,
    /// Where packages are unpacked.
    unpacked: PathBuf,
}

impl Peers {
    /// Looks in `directory`, on PATH, and in what an earlier run has left in `unpacked`.
    ///
    /// # Errors
    /// There is no such directory.
    pub fn new(directory: Option<PathBuf>, unpacked: PathBuf) -> Result<Self> {
        let found = |named: PathBuf| {
            named.canonicalize().with_context(|| format!("no directory {}", named.display()))
        };
        Ok(Self { directory: directory.map(found).transpose()?, unpacked })
    }

    /// All tracers whose programs are there. What is not is unpacked if it can be; if not, `missing` is told why.
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

    /// The directory of an unpacked bpftrace's libraries.
    fn libraries(&self) -> PathBuf {
        let name = format!("{}-linux-gnu", std::env::consts::ARCH);
        self.unpacked.join("bpftrace/usr/lib").join(name)
    }

    /// Downloads and unpacks a package, and the libraries that this host lacks for it.
    fn unpack(&self, package: &str) -> Result<()> {
        ensure!(
            on_path("apt-get").is_some(),
            "not on this host, which has no apt-get to fetch {package} with"
        );
        fs::create_dir_all(&self.unpacked)?;
        let log = Log::create(self.unpacked.join("peers.log"))?;
        let apt = Apt::new(self.unpacked.join("apt"), &log)?;
        log.step(&format!("fetching Debian's {package}"), || {
            // One of the host's other sources may fail; what counts is whether the package is known now.
            let _ = apt.update();
            let mut packages = apt.would_install(package)?;
            // glibc goes with the host's own loader.
            packages.retain(|name| name != "libc6");
            apt.download(&packages)?;
            apt.unpack(&self.unpacked.join(package))
        })
        .with_context(|| format!("not on this host, and {package} could not be fetched"))?;
        apt.clean()
    }
}
