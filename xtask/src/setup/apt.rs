//! apt with a state of its own: it reads the host's sources and keys, and writes in its own directory only.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::log::Log;

/// apt with its lists and cache in one directory.
pub struct Apt<'a> {
    directory: PathBuf,
    log: &'a Log,
}

impl<'a> Apt<'a> {
    /// Prepares an empty `directory` and writes the configuration that keeps apt in it.
    pub fn new(directory: PathBuf, log: &'a Log) -> Result<Self> {
        remove(&directory)?;
        for part in ["state/lists/partial", "cache/archives/partial", "log", "packages"] {
            let part = directory.join(part);
            fs::create_dir_all(&part).with_context(|| format!("could not make {}", part.display()))?;
        }
        let apt = Self { directory, log };
        // A host's hooks would touch the host: Docker's images empty its cache in one.
        let configuration = format!(
            "Dir::State \"{0}/state\";\n\
             Dir::State::status \"/var/lib/dpkg/status\";\n\
             Dir::Cache \"{0}/cache\";\n\
             Dir::Log \"{0}/log\";\n\
             Debug::NoLocking \"true\";\n\
             APT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\n\
             #clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n",
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

    /// Where [`download`](Self::download) puts the packages.
    fn packages(&self) -> PathBuf {
        self.directory.join("packages")
    }

    /// Fetches the lists of what there is.
    pub fn update(&self) -> Result<()> {
        self.log.run(&mut self.command("apt-get", &["update"])).map(drop)
    }

    /// The version of a package that apt would take; `None` where it has none.
    pub fn candidate(&self, package: &str) -> Result<Option<String>> {
        let policy = self.log.run(&mut self.command("apt-cache", &["policy", package]))?;
        let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
        Ok(candidate.filter(|version| *version != "(none)").map(str::to_owned))
    }

    /// The first package that `package` depends on whose name begins with `prefix`.
    pub fn dependency(&self, package: &str, prefix: &str) -> Result<String> {
        let depends = self.log.run(&mut self.command("apt-cache", &["depends", package]))?;
        depends
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .find(|name| name.starts_with(prefix))
            .map(str::to_owned)
            .with_context(|| format!("{package} depends on no {prefix}…"))
    }

    /// The packages that installing `package` would bring to this host, itself among them.
    pub fn would_install(&self, package: &str) -> Result<Vec<String>> {
        let args = ["--simulate", "--no-install-recommends", "install", package];
        let plan = self.log.run(&mut self.command("apt-get", &args))?;
        let names = plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
        Ok(names.map(str::to_owned).collect())
    }

    /// How many bytes a download of these packages is.
    pub fn size(&self, packages: &[String]) -> Result<u64> {
        let mut command = self.command("apt-get", &["download", "--print-uris"]);
        let uris = self.log.run(command.args(packages))?;
        // 'http://…' FILE SIZE HASH
        Ok(uris.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<u64>().ok()).sum())
    }

    /// Downloads packages, without what they depend on.
    pub fn download(&self, packages: &[String]) -> Result<()> {
        self.log.run(self.command("apt-get", &["download"]).args(packages)).map(drop)
    }

    /// Unpacks all that was downloaded into `root`, which is there only when it is complete.
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
            unpackings.into_iter().try_for_each(|unpacking| unpacking.join().expect("it does not panic"))
        })?;
        Ok(fs::rename(partial, root)?)
    }

    /// Installs packages on the host, by the host's own apt; nothing that is there is removed for them.
    pub fn install(&self, packages: &[String]) -> Result<()> {
        // It fails where one source does; if it was one that matters, so will the next step.
        let _ = self.log.run(Command::new("apt-get").args(["-q", "update"]));
        let mut install = Command::new("apt-get");
        install
            .args(["-q", "install", "--yes", "--no-install-recommends", "--no-remove"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive");
        self.log.run(&mut install).map(drop)
    }

    /// Removes all that was downloaded.
    pub fn clean(self) -> Result<()> {
        remove(&self.directory)
    }
}

/// Removes a directory, which need not exist.
fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}
