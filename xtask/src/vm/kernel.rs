//! The kernels that probe is tried on: Debian's, for virtual machines, each the newest of its suite.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    apt::{self, Apt},
    log::Log,
};

/// Where a kernel comes from.
pub struct Source {
    /// What it is called here.
    pub name: &'static str,
    /// The suite that has it.
    suite: &'static str,
    /// The package that depends on the newest one.
    package: &'static str,
}

/// All of them, oldest first.
pub const SOURCES: &[Source] = &[
    Source { name: "5.10", suite: "bullseye-security", package: "linux-image-cloud-amd64" },
    Source { name: "6.1", suite: "bookworm-security", package: "linux-image-cloud-amd64" },
    Source { name: "6.12", suite: "bookworm-security", package: "linux-image-6.12-cloud-amd64" },
    Source { name: "sid", suite: "sid", package: "linux-image-cloud-amd64" },
];

/// How the suites of security updates are called; they have an archive of their own.
const SECURITY: &str = "-security";

/// A kernel that was fetched.
pub struct Kernel {
    /// As in [`Source`].
    pub name: &'static str,
    /// `uname -r`
    pub release: String,
    /// The file to boot.
    pub image: PathBuf,
    /// The options that it was built with, as text.
    pub config: PathBuf,
    /// Where its modules lie.
    modules: PathBuf,
}

/// The kernels of these names; all where none is named.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Source>> {
    if names.is_empty() {
        return Ok(SOURCES.iter().collect());
    }
    let by_name = |name: &String| {
        SOURCES.iter().find(|source| source.name == name).with_context(|| {
            let all: Vec<_> = SOURCES.iter().map(|source| source.name).collect();
            format!("there is no kernel `{name}` here; there are {}", all.join(", "))
        })
    };
    names.iter().map(by_name).collect()
}

impl Source {
    /// The kernel, which is fetched unless it was before.
    pub fn provide(&self, directory: &Path, log: &Log) -> Result<Kernel> {
        ensure!(cfg!(target_arch = "x86_64"), "the kernels are for x86_64 machines, and so are the programs");
        let root = directory.join(self.name).join("kernel");
        if !root.exists() {
            self.fetch(directory, &root, log).with_context(|| {
                format!("could not fetch the kernel {}, which needs the network", self.name)
            })?;
        }
        Kernel::unpacked(self.name, &root)
    }

    fn fetch(&self, directory: &Path, root: &Path, log: &Log) -> Result<()> {
        let apt_directory = directory.join("apt");
        let what = format!("fetching the list of {}", self.suite);
        let apt = log.step(&what, || {
            let archive = archive(&apt_directory, self.suite, log)?;
            let apt = Apt::of_suites(apt_directory, log, &[(archive, self.suite)])?;
            apt.update()?;
            Ok(apt)
        })?;
        let image = apt.dependency(self.package, "linux-image-")?;
        // The newest kernels come in parts.
        let parts = apt.dependencies(&image)?;
        let mut packages: Vec<_> = parts.into_iter().filter(|part| part.ends_with("-cloud-amd64")).collect();
        packages.push(image.clone());
        let what = format!("downloading {image} ({} MB)", apt.size(&packages)? / 1_000_000);
        log.step(&what, || apt.download(&packages))?;
        log.step("unpacking", || apt.unpack(root))?;
        apt.clean()
    }
}

/// The address of the archive that has this suite, from those that the host takes its packages from.
fn archive(directory: &Path, suite: &str, log: &Log) -> Result<String> {
    let archives = apt::archives_of_host(directory.to_owned(), log)?;
    // Told by their names, since other vendors' have neither these suites nor these kernels.
    let named = |name: &str| archives.iter().find(|uri| uri.ends_with(name)).cloned();
    let main = named("/debian");
    let found = if suite.ends_with(SECURITY) {
        named("/debian-security").or_else(|| main.map(|main| main + SECURITY))
    } else {
        main
    };
    found.context("apt on this host takes nothing from Debian, which has the kernels")
}

impl Kernel {
    /// The kernel whose packages lie in `root`.
    fn unpacked(name: &'static str, root: &Path) -> Result<Self> {
        let modules = [root.join("lib/modules"), root.join("usr/lib/modules")];
        let modules = modules.iter().find_map(|all| Some(fs::read_dir(all).ok()?.next()?.ok()?.path()));
        let modules = modules.with_context(|| format!("{} holds no kernel", root.display()))?;
        let release = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let either = |in_boot: &str, beside: &str| {
            let places = [root.join("boot").join(format!("{in_boot}-{release}")), modules.join(beside)];
            let found = places.into_iter().find(|place| place.exists());
            found.with_context(|| format!("the kernel {name} has no {beside} in {}", root.display()))
        };
        let (image, config) = (either("vmlinuz", "vmlinuz")?, either("config", "config")?);
        Ok(Self { name, image, config, modules, release })
    }

    /// A module, perhaps compressed; `None` where it is built in, or this kernel has none of that name.
    pub fn module(&self, name: &str) -> Result<Option<PathBuf>> {
        find(&self.modules.join("kernel"), &|file| {
            file.strip_prefix(name).is_some_and(|rest| rest == ".ko" || rest.starts_with(".ko."))
        })
    }
}

/// The first file below a directory whose name fits.
fn find(directory: &Path, fits: &dyn Fn(&str) -> bool) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(directory).with_context(|| format!("could not read {}", directory.display()))? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if let Some(found) = find(&path, fits)? {
                return Ok(Some(found));
            }
        } else if fits(&entry.file_name().to_string_lossy()) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A kernel as its packages unpack it, in one layout or the other.
    pub fn unpacked(root: &Path, in_boot: bool) -> Kernel {
        let release = "9.9.9-cloud-amd64";
        let modules = root.join(if in_boot { "lib/modules" } else { "usr/lib/modules" }).join(release);
        let drivers = modules.join("kernel/drivers/net");
        fs::create_dir_all(&drivers).unwrap();
        let names = if in_boot {
            ["vmlinuz-9.9.9-cloud-amd64", "config-9.9.9-cloud-amd64"]
        } else {
            ["vmlinuz", "config"]
        };
        let beside = if in_boot { root.join("boot") } else { modules };
        fs::create_dir_all(&beside).unwrap();
        for name in names {
            fs::write(beside.join(name), name).unwrap();
        }
        fs::write(drivers.join("tunnel.ko"), "").unwrap();
        fs::write(drivers.join(if in_boot { "tun.ko" } else { "tun.ko.xz" }), "a module").unwrap();
        Kernel::unpacked("9.9", root).unwrap()
    }

    #[test]
    fn a_kernel_is_found_in_either_layout() {
        for in_boot in [true, false] {
            let root = tempfile::tempdir().unwrap();
            let kernel = unpacked(root.path(), in_boot);
            assert_eq!(kernel.release, "9.9.9-cloud-amd64");
            assert!(kernel.image.exists() && kernel.config.exists());
            let module = kernel.module("tun").unwrap().expect("it is a module");
            assert_eq!(fs::read_to_string(module).unwrap(), "a module");
            assert_eq!(kernel.module("tcp_diag").unwrap(), None);
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(Kernel::unpacked("9.9", empty.path()).is_err());
    }

    #[test]
    fn a_kernel_that_is_not_there_is_told_with_those_that_are() {
        let names = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
        let error = chosen(&names(&["6.1", "4.19"])).err().expect("it is not there");
        assert_eq!(error.to_string(), "there is no kernel `4.19` here; there are 5.10, 6.1, 6.12, sid");
        let two: Vec<_> = chosen(&names(&["sid", "6.1"])).unwrap().iter().map(|source| source.name).collect();
        assert_eq!(two, ["sid", "6.1"]);
        assert_eq!(chosen(&[]).unwrap().len(), SOURCES.len());
    }
}
