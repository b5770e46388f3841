//! The kernels for the virtual machines: Debian's cloud kernels, the newest of each suite or series.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    apt::{self, Apt},
    log::Log,
};

/// A kernel's source.
pub struct Source {
    /// Its name on the command line.
    pub name: &'static str,
    /// The Debian suite.
    suite: &'static str,
    /// Which image of the suite it is.
    image: Image,
}

/// An image of a suite.
enum Image {
    /// The one that this metapackage depends on: the suite's newest.
    Newest(&'static str),
    /// The newest of the series that the source is named after. The suite keeps older series for a while.
    Series,
}

/// All kernels, oldest first.
pub const SOURCES: &[Source] = &[
    Source { name: "5.10", suite: "bullseye-security", image: Image::Newest("linux-image-cloud-amd64") },
    Source { name: "6.1", suite: "bookworm-security", image: Image::Newest("linux-image-cloud-amd64") },
    Source { name: "6.12", suite: "bookworm-security", image: Image::Newest("linux-image-6.12-cloud-amd64") },
    Source { name: "6.16", suite: BACKPORTS, image: Image::Series },
    Source { name: "6.17", suite: BACKPORTS, image: Image::Series },
    Source { name: "6.18", suite: BACKPORTS, image: Image::Series },
    Source { name: "6.19", suite: BACKPORTS, image: Image::Series },
    Source { name: "7.0", suite: BACKPORTS, image: Image::Series },
    Source { name: "7.1", suite: BACKPORTS, image: Image::Series },
    Source { name: "7.2", suite: BACKPORTS, image: Image::Series },
    Source { name: "sid", suite: "sid", image: Image::Newest("linux-image-cloud-amd64") },
    Source { name: "experimental", suite: "experimental", image: Image::Newest("linux-image-cloud-amd64") },
    Source { name: "7.3", suite: BACKPORTS, image: Image::Series },
];

/// The suite that has every series since Debian 13.
const BACKPORTS: &str = "trixie-backports";

/// Suffix of the security suites, which have their own archive.
const SECURITY: &str = "-security";

/// Suffix of the packages that an image consists of.
const FLAVOUR: &str = "-cloud-amd64";

/// A kernel that Debian's archive no longer has.
pub struct Gone {
    /// As in [`Source`].
    pub name: &'static str,
    /// What the archive lacks.
    pub why: String,
}

/// A fetched kernel.
pub struct Kernel {
    /// As in [`Source`].
    pub name: &'static str,
    /// `uname -r`
    pub release: String,
    /// The file to boot.
    pub image: PathBuf,
    /// Its build configuration, as text.
    pub config: PathBuf,
    /// Its module directory.
    modules: PathBuf,
}

/// The kernels with these names; all if there are none.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Source>> {
    if names.is_empty() {
        return Ok(SOURCES.iter().collect());
    }
    let by_name = |name: &String| {
        SOURCES.iter().find(|source| source.name == name).with_context(|| {
            let all: Vec<_> = SOURCES.iter().map(|source| source.name).collect();
            format!("unknown kernel `{name}`: choose from {}", all.join(", "))
        })
    };
    names.iter().map(by_name).collect()
}

impl Source {
    /// The kernel, fetched on first use.
    pub fn provide(&self, directory: &Path, log: &Log) -> Result<Result<Kernel, Gone>> {
        ensure!(cfg!(target_arch = "x86_64"), "the kernels and programs are built for x86_64");
        let root = directory.join(self.name).join("kernel");
        if !root.exists() {
            let fetched = self
                .fetch(directory, &root, log)
                .with_context(|| format!("could not fetch kernel {} (this needs the network)", self.name))?;
            if let Err(why) = fetched {
                return Ok(Err(Gone { name: self.name, why }));
            }
        }
        Kernel::unpacked(self.name, &root).map(Ok)
    }

    /// Fetches the image and its parts into `root`. The inner error says what the archive lacks.
    fn fetch(&self, directory: &Path, root: &Path, log: &Log) -> Result<Result<(), String>> {
        let apt_directory = directory.join("apt");
        let archive = archive(&apt_directory, self.suite, log)?;
        let what = format!("fetching the list of {}", self.suite);
        let apt = log.step(&what, || {
            let apt = Apt::of_suites(apt_directory, log, &[(archive.clone(), self.suite)])?;
            apt.update()?;
            Ok(apt)
        })?;
        let Some(image) = self.image(&apt)? else {
            apt.clean()?;
            return Ok(Err(format!("{} has no image of it", self.suite)));
        };
        // Since 6.19 an image is split into several packages.
        let parts = apt.dependencies(&image)?.into_iter().filter(|part| part.ends_with(FLAVOUR));
        let (mut packages, mut unlisted) = (vec![image.clone()], Vec::new());
        for part in parts {
            let listed = apt.candidate(&part)?.is_some();
            if listed { packages.push(part) } else { unlisted.push(part) }
        }
        let what = format!("downloading {image} ({} MB)", apt.size(&packages)? / 1_000_000);
        log.step(&what, || apt.download(&packages))?;
        let version = apt.candidate(&image)?.unwrap_or_default();
        let mut lacking = Vec::new();
        for part in unlisted {
            let uri = in_pool(&archive, &part, &version);
            let what = format!("downloading {part}, which the index no longer has");
            if log.step(&what, || apt.download_unlisted(&uri)).is_err() {
                lacking.push(part);
            }
        }
        let unpacked = root.with_extension("fetched");
        log.step("unpacking", || apt.unpack(&unpacked))?;
        apt.clean()?;
        if let Err(error) = Kernel::unpacked(self.name, &unpacked) {
            fs::remove_dir_all(&unpacked)?;
            if lacking.is_empty() {
                // The layout is a new one.
                return Err(error);
            }
            return Ok(Err(format!("the archive no longer has {}", lacking.join(", "))));
        }
        Ok(Ok(fs::rename(unpacked, root)?))
    }

    /// The name of the image's package; `None` where the suite has none.
    fn image(&self, apt: &Apt<'_>) -> Result<Option<String>> {
        const PREFIX: &str = "linux-image-";
        match self.image {
            Image::Newest(metapackage) => {
                let known = apt.candidate(metapackage)?;
                known.map(|_| apt.dependency(metapackage, PREFIX)).transpose()
            }
            Image::Series => Ok(newest(apt.packages_with(&format!("{PREFIX}{}.", self.name))?)),
        }
    }
}

/// The newest of these images.
fn newest(images: Vec<String>) -> Option<String> {
    let numbers = |image: &String| -> Vec<u64> {
        image.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    };
    images.into_iter().filter(|name| name.ends_with(FLAVOUR)).max_by_key(numbers)
}

/// Where the archive keeps a package of the source package `linux`.
///
/// The index drops the packages of `linux` with the next upload, while the images, which are made from
/// `linux-signed-amd64`, stay in it. The files stay as long as the mirror keeps them. Nothing signs their checksums, so
/// they come over HTTPS, and the machine's kernel loads only modules that its own build signed.
fn in_pool(archive: &str, package: &str, version: &str) -> String {
    let archive = archive.replacen("http://", "https://", 1);
    // A file's name has no epoch.
    let version = version.rsplit(':').next().unwrap_or_default();
    format!("{archive}/pool/main/l/linux/{package}_{version}_amd64.deb")
}

/// The address of the archive with this suite, among those that the host's apt uses.
fn archive(directory: &Path, suite: &str, log: &Log) -> Result<String> {
    let archives = apt::archives_of_host(directory.to_owned(), log)?;
    // Matched by name: other vendors' archives have neither these suites nor these kernels.
    let named = |name: &str| archives.iter().find(|uri| uri.ends_with(name)).cloned();
    let main = named("/debian");
    let found = if suite.ends_with(SECURITY) {
        named("/debian-security").or_else(|| main.map(|main| main + SECURITY))
    } else {
        main
    };
    found.context("this host's apt uses no Debian archive, where the kernels are")
}

impl Kernel {
    /// The kernel whose packages are unpacked in `root`.
    fn unpacked(name: &'static str, root: &Path) -> Result<Self> {
        let modules = [root.join("lib/modules"), root.join("usr/lib/modules")];
        let modules = modules.iter().find_map(|all| Some(fs::read_dir(all).ok()?.next()?.ok()?.path()));
        let modules = modules.with_context(|| format!("there is no kernel in {}", root.display()))?;
        let release = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let either = |in_boot: &str, name_in_modules: &str| {
            let candidates =
                [root.join("boot").join(format!("{in_boot}-{release}")), modules.join(name_in_modules)];
            let found = candidates.into_iter().find(|path| path.exists());
            found.with_context(|| format!("the kernel {name} has no {name_in_modules} in {}", root.display()))
        };
        let (image, config) = (either("vmlinuz", "vmlinuz")?, either("config", "config")?);
        Ok(Self { name, image, config, modules, release })
    }

    /// A module, possibly compressed; `None` if it is built in or does not exist.
    pub fn module(&self, name: &str) -> Result<Option<PathBuf>> {
        find(&self.modules.join("kernel"), &|file| {
            file.strip_prefix(name).is_some_and(|rest| rest == ".ko" || rest.starts_with(".ko."))
        })
    }
}

/// The first file below a directory whose name matches.
fn find(directory: &Path, matches: &dyn Fn(&str) -> bool) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(directory).with_context(|| format!("could not read {}", directory.display()))? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if let Some(found) = find(&path, matches)? {
                return Ok(Some(found));
            }
        } else if matches(&entry.file_name().to_string_lossy()) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An unpacked kernel in one of the two layouts.
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
    fn an_unknown_kernel_is_rejected_with_the_known_ones() {
        let names = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
        let error = chosen(&names(&["6.1", "4.19"])).err().expect("it is unknown");
        let message = error.to_string();
        assert!(
            message.starts_with("unknown kernel `4.19`: choose from 5.10, 6.1, 6.12, 6.16,"),
            "{message}"
        );
        let two: Vec<_> = chosen(&names(&["sid", "6.1"])).unwrap().iter().map(|source| source.name).collect();
        assert_eq!(two, ["sid", "6.1"]);
        assert_eq!(chosen(&[]).unwrap().len(), SOURCES.len());
    }

    #[test]
    fn the_newest_image_is_chosen_by_its_numbers() {
        let images = ["7.0.9+deb13", "7.0.13+deb13", "7.0.10+deb13"];
        let mut images: Vec<_> =
            images.iter().map(|version| format!("linux-image-{version}-cloud-amd64")).collect();
        images.push("linux-image-7.0.14+deb13-cloud-amd64-dbg".to_owned());
        assert_eq!(newest(images).as_deref(), Some("linux-image-7.0.13+deb13-cloud-amd64"));
        assert_eq!(newest(Vec::new()), None);
    }

    #[test]
    fn an_unlisted_package_is_fetched_over_https_from_the_pool() {
        assert_eq!(
            in_pool("http://deb.debian.org/debian", "linux-modules-7.0.13-cloud-amd64", "1:7.0.13-1~bpo13+1"),
            "https://deb.debian.org/debian/pool/main/l/linux/linux-modules-7.0.13-cloud-amd64_7.0.13-1~bpo13+1_amd64.deb"
        );
    }
}
