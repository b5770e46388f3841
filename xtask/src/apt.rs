//! apt with a private state: it reads the host's sources and keys, and writes only to its own directory.

use std::{
    env::consts::ARCH,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::log::Log;

/// Debian's archive keys, where Debian and its derivatives install them.
const ARCHIVE_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt's downloader, which is not on PATH.
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";

/// apt with its lists and cache in one private directory.
pub struct Apt<'a> {
    directory: PathBuf,
    log: &'a Log,
}

impl<'a> Apt<'a> {
    /// Empties `directory` and writes the configuration that confines apt to it. The sources are the host's.
    pub fn new(directory: PathBuf, log: &'a Log) -> Result<Self> {
        Self::configured(directory, log, "")
    }

    /// The same with explicit sources: the main component of these suites, each with its archive's address.
    /// The keys are the host's.
    pub fn of_suites(directory: PathBuf, log: &'a Log, suites: &[(String, &str)]) -> Result<Self> {
        let list = directory.join("sources.list");
        let configuration = format!(
            "Dir::Etc::sourcelist \"{}\";\n\
             Dir::Etc::sourceparts \"/dev/null\";\n",
            list.display()
        );
        let apt = Self::configured(directory, log, &configuration)?;
        let signed = if Path::new(ARCHIVE_KEYS).exists() {
            format!("[signed-by={ARCHIVE_KEYS}] ")
        } else {
            String::new()
        };
        let sources = suites.iter().map(|(archive, suite)| format!("deb {signed}{archive} {suite} main\n"));
        fs::write(list, sources.collect::<String>())?;
        Ok(apt)
    }

    fn configured(directory: PathBuf, log: &'a Log, more: &str) -> Result<Self> {
        remove(&directory)?;
        for part in ["state/lists/partial", "cache/archives/partial", "log", "packages"] {
            let part = directory.join(part);
            fs::create_dir_all(&part).with_context(|| format!("could not make {}", part.display()))?;
        }
        let apt = Self { directory, log };
        // The host's hooks would modify the host: Docker images empty the cache in one.
        let configuration = format!(
            "Dir::State \"{0}/state\";\n\
             Dir::State::status \"/var/lib/dpkg/status\";\n\
             Dir::Cache \"{0}/cache\";\n\
             Dir::Log \"{0}/log\";\n\
             Debug::NoLocking \"true\";\n\
             APT::Sandbox::User \"root\";\n\
             APT::Update::Error-Mode \"any\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
             #clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n{more}",
            apt.directory.display()
        );
        fs::write(apt.configuration(), configuration)?;
        Ok(apt)
    }

    fn configuration(&self) -> PathBuf {
        self.directory.join("apt.conf")
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.arg("-q").arg("-c").arg(self.configuration()).args(args).current_dir(self.packages());
        command
    }

    /// The directory that [`download`](Self::download) fills.
    fn packages(&self) -> PathBuf {
        self.directory.join("packages")
    }

    /// Fetches the package lists. Fails if any source fails.
    pub fn update(&self) -> Result<()> {
        self.log.run(&mut self.command("apt-get", &["update"])).map(drop)
    }

    /// A package's candidate version; `None` if apt has none.
    pub fn candidate(&self, package: &str) -> Result<Option<String>> {
        let policy = self.log.run(&mut self.command("apt-cache", &["policy", package]))?;
        let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
        Ok(candidate.filter(|version| *version != "(none)").map(str::to_owned))
    }

    /// The packages that the index has with this prefix.
    pub fn packages_with(&self, prefix: &str) -> Result<Vec<String>> {
        let names = self.log.run(&mut self.command("apt-cache", &["pkgnames", prefix]))?;
        // apt lists also names that other packages only mention.
        let all = names.lines().map(|name| Ok(self.candidate(name)?.map(|_| name.to_owned())));
        all.filter_map(Result::transpose).collect()
    }

    /// The dependencies of `package`, without alternatives, whether or not the index has them.
    pub fn dependencies(&self, package: &str) -> Result<Vec<String>> {
        let depends = self.log.run(&mut self.command("apt-cache", &["depends", package]))?;
        Ok(dependencies(&depends))
    }

    /// The first dependency of `package` whose name begins with `prefix`.
    pub fn dependency(&self, package: &str, prefix: &str) -> Result<String> {
        let depends = self.dependencies(package)?;
        let found = depends.into_iter().find(|name| name.starts_with(prefix));
        found.with_context(|| format!("{package} depends on no {prefix}…"))
    }

    /// The packages that installing `package` would add to this host, itself included.
    pub fn would_install(&self, package: &str) -> Result<Vec<String>> {
        let args = ["--simulate", "--no-install-recommends", "install", package];
        let plan = self.log.run(&mut self.command("apt-get", &args))?;
        let names = plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
        Ok(names.map(str::to_owned).collect())
    }

    /// Download size of these packages in bytes.
    pub fn size(&self, packages: &[String]) -> Result<u64> {
        let mut command = self.command("apt-get", &["download", "--print-uris"]);
        let uris = self.log.run(command.args(packages))?;
        // 'http://…' FILE SIZE HASH
        Ok(uris.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<u64>().ok()).sum())
    }

    /// Downloads a package file from its place in an archive that no longer lists it.
    ///
    /// No signed index has its checksum, so the connection must be authenticated: HTTPS.
    pub fn download_unlisted(&self, uri: &str) -> Result<()> {
        ensure!(uri.starts_with("https://"), "{uri} is not fetched: it needs HTTPS");
        let name = uri.rsplit('/').next().unwrap_or_default();
        let to = self.packages().join(name);
        let mut download = self.command(APT_HELPER, &["download-file", uri]);
        self.log.run(download.arg(to)).map(drop)
    }

    /// Downloads packages without their dependencies.
    pub fn download(&self, packages: &[String]) -> Result<()> {
        self.log.run(self.command("apt-get", &["download"]).args(packages)).map(drop)
    }

    /// Unpacks all downloaded packages into `root`, which appears only once complete.
    pub fn unpack(&self, root: &Path) -> Result<()> {
        let partial = root.with_extension("partial");
        remove(&partial)?;
        remove(root)?;
        fs::create_dir_all(&partial)?;
        let entries = fs::read_dir(self.packages())?.collect::<io::Result<Vec<_>>>()?;
        std::thread::scope(|scope| {
            let unpack = |package: PathBuf| {
                let mut dpkg = Command::new("dpkg-deb");
                self.log.run(dpkg.arg("--extract").arg(package).arg(&partial)).map(drop)
            };
            let unpackings: Vec<_> =
                entries.iter().map(|entry| scope.spawn(move || unpack(entry.path()))).collect();
            unpackings
                .into_iter()
                .try_for_each(|unpacking| unpacking.join().expect("the thread does not panic"))
        })?;
        Ok(fs::rename(partial, root)?)
    }

    /// Installs packages with the host's own apt, without removing any.
    pub fn install(&self, packages: &[String]) -> Result<()> {
        // An unrelated source may fail; if it matters, the next step fails.
        let _ = self.log.run(Command::new("apt-get").args(["-q", "update"]));
        let mut install = Command::new("apt-get");
        install
            .args(["-q", "install", "--yes", "--no-install-recommends", "--no-remove"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive");
        self.log.run(&mut install).map(drop)
    }

    /// Removes all downloads.
    pub fn clean(self) -> Result<()> {
        remove(&self.directory)
    }
}

/// The archive addresses of the host's apt sources.
///
/// If the host has no lists, as in a container image, they are fetched into `directory`.
pub fn archives_of_host(directory: PathBuf, log: &Log) -> Result<Vec<String>> {
    let archives = |mut apt: Command| -> Result<Vec<String>> {
        let targets = apt.args(["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]);
        Ok(log.run(targets)?.lines().map(|uri| uri.trim_end_matches('/').to_owned()).collect())
    };
    let known = archives(Command::new("apt-get"))?;
    if !known.is_empty() {
        return Ok(known);
    }
    let apt = Apt::new(directory, log)?;
    apt.update()?;
    let fetched = archives(apt.command("apt-get", &[]))?;
    apt.clean()?;
    Ok(fetched)
}

/// The names after `Depends:`. apt writes those that the index lacks as `<name>`.
fn dependencies(depends: &str) -> Vec<String> {
    let names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    names.map(|name| name.trim_matches(['<', '>']).to_owned()).collect()
}

/// This architecture's library directory in `lib`, such as `x86_64-linux-gnu`.
pub fn libraries(lib: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(lib).with_context(|| format!("could not read {}", lib.display()))?;
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(ARCH) && name.contains("-linux-gnu")
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(is_ours)
        .with_context(|| format!("no libraries for {ARCH} in {}", lib.display()))
}

/// Removes a directory if it exists.
fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_include_those_that_the_index_lacks() {
        let depends =
            "linux-image-7.0\n  PreDepends: linux-base\n  Depends: kmod\n  Depends: <linux-modules-7.0>\n";
        assert_eq!(dependencies(depends), ["kmod", "linux-modules-7.0"]);
    }
}
