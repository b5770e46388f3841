//! The guest's initramfs: programs, modules, the command and its files, as a cpio archive.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io::{self, BufWriter, Read, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use cpio::newc::{self, ModeFileType};

use super::{kernel::Kernel, programs::Programs, protocol};

/// Modules to load unless built in, each after its dependencies: the virtio ports, then
/// what probe uses.
const MODULES: &[&str] = &[
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_console",
    "inet_diag",
    "tcp_diag",
    "mptcp_diag",
    "tun",
];

/// Writes the archive. Each command is its words, `files` the content of their working directory.
pub fn write(
    to: &Path,
    kernel: &Kernel,
    programs: &Programs,
    commands: &[Vec<OsString>],
    files: &Path,
) -> Result<()> {
    let mut archive = Archive { out: BufWriter::new(File::create(to)?) };
    for directory in ["bin", "boot", "dev", protocol::MODULES, protocol::COMMANDS, protocol::FILES] {
        archive.directory(directory)?;
    }
    archive.file("init", &programs.init)?;
    // Not built where only tests run.
    if programs.probe.exists() {
        archive.file("bin/probe", &programs.probe)?;
    }
    archive.file(&format!("boot/config-{}", kernel.release), &kernel.config)?;
    for (number, name) in MODULES.iter().enumerate() {
        if let Some(module) = kernel.module(name)? {
            let file = module.file_name().unwrap_or_default().to_string_lossy();
            archive.file(&format!("{}/{number:02}-{file}", protocol::MODULES), &module)?;
        }
    }
    for (number, words) in commands.iter().enumerate() {
        let command: Vec<u8> = words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
        let path = format!("{}/{number:02}", protocol::COMMANDS);
        archive.entry(&path, ModeFileType::Regular, &mut command.as_slice(), command.len())?;
    }
    archive.tree(protocol::FILES, files)?;
    archive.files_with_their_directories(&programs.tests.files)?;
    archive.finish().with_context(|| format!("could not write {}", to.display()))
}

/// An archive being written.
struct Archive {
    out: BufWriter<File>,
}

impl Archive {
    fn directory(&mut self, path: &str) -> Result<()> {
        self.entry(path, ModeFileType::Directory, &mut io::empty(), 0)
    }

    fn file(&mut self, path: &str, from: &Path) -> Result<()> {
        let mut file = File::open(from).with_context(|| format!("could not read {}", from.display()))?;
        let length = file.metadata()?.len().try_into()?;
        self.entry(path, ModeFileType::Regular, &mut file, length)
    }

    /// Files at their paths in the guest, with the directories above them.
    fn files_with_their_directories(&mut self, files: &[(PathBuf, PathBuf)]) -> Result<()> {
        let above = files
            .iter()
            .flat_map(|(path, _)| path.ancestors().skip(1))
            .filter(|path| path.parent().is_some());
        // In order, a directory comes before those in it.
        for directory in above.collect::<BTreeSet<_>>() {
            self.directory(&directory.to_string_lossy())?;
        }
        files.iter().try_for_each(|(path, from)| self.file(&path.to_string_lossy(), from))
    }

    /// Everything in a directory, recursively.
    fn tree(&mut self, path: &str, from: &Path) -> Result<()> {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let inside = format!("{path}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.directory(&inside)?;
                self.tree(&inside, &entry.path())?;
            } else {
                self.file(&inside, &entry.path())?;
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        path: &str,
        kind: ModeFileType,
        content: &mut impl Read,
        length: usize,
    ) -> Result<()> {
        let entry = newc::Builder::new(path.trim_start_matches('/')).mode(0o755).set_mode_file_type(kind);
        let mut entry = entry.write(&mut self.out, length.try_into()?);
        io::copy(content, &mut entry)?;
        entry.finish()?;
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        newc::trailer(&mut self.out)?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::{kernel, programs::Tests};

    /// Every file of an archive with its content.
    fn read(archive: &Path) -> Vec<(String, String)> {
        let mut file = File::open(archive).unwrap();
        let mut all = Vec::new();
        loop {
            let mut entry = newc::Reader::new(file).unwrap();
            if entry.entry().is_trailer() {
                return all;
            }
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            all.push((entry.entry().name().to_owned(), content));
            file = entry.finish().unwrap();
        }
    }

    #[test]
    fn the_archive_has_everything_the_guest_needs() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let kernel = kernel::tests::unpacked(&at("kernel"), false);
        let programs = Programs {
            probe: at("probe"),
            init: at("init"),
            tests: Tests { program: PathBuf::new(), files: vec![("/lib64/ld.so".into(), at("init"))] },
        };
        fs::create_dir_all(at("files/more")).unwrap();
        for file in ["probe", "init", "files/more/recording"] {
            fs::write(at(file), format!("{file}'s content")).unwrap();
        }
        let words = ["probe", "trace", "", "a b"].map(OsString::from);
        write(&at("archive"), &kernel, &programs, &[words.to_vec()], &at("files")).unwrap();
        let files = read(&at("archive"));
        let content = |path: &str| {
            let found = files.iter().find(|(name, _)| name == path);
            found.unwrap_or_else(|| panic!("{path} is missing in {files:?}")).1.as_str()
        };
        assert_eq!(content("init"), "init's content");
        assert_eq!(content("bin/probe"), "probe's content");
        assert_eq!((content("lib64"), content("lib64/ld.so")), ("", "init's content"));
        assert_eq!(content("boot/config-9.9.9-cloud-amd64"), "config");
        assert_eq!(content("modules/09-tun.ko.xz"), "a module");
        assert_eq!(content("commands/00"), "probe\0trace\0\0a b\0");
        assert_eq!(content("files/more/recording"), "files/more/recording's content");
        assert!(files.iter().all(|(name, _)| !name.starts_with('/')));
    }
}
