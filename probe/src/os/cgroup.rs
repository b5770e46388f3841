//! Cgroups of the v2 hierarchy: from id to path, from path to id, and those of processes.

mod by_id;

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Component, Path, PathBuf},
};

use self::by_id::ById;
use super::mounts;
use crate::model::{Cgroup, Name};

/// Paths kept before all are forgotten: as many as some megabytes hold.
const MOST_KEPT: usize = 1 << 16;

/// Why an argument names no cgroup.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No mount of type cgroup2.
    #[error("no cgroup v2 hierarchy is mounted here: mount -t cgroup2 none /sys/fs/cgroup makes one visible")]
    NoHierarchy,
    /// Nothing at that path.
    #[error(
        "there is no cgroup {path}: {cause}; a path starts at the hierarchy's root, as /proc/PID/cgroup has it"
    )]
    NoGroup {
        /// The path as it was given, safe for a terminal.
        path: Name,
        /// What the file system said.
        cause: io::Error,
    },
    /// The path leads out of the hierarchy.
    #[error("{path} is no cgroup of the v2 hierarchy, which is mounted at {}", .mounted.display())]
    Outside {
        /// The path as it was given, safe for a terminal.
        path: Name,
        /// Where the hierarchy is.
        mounted: PathBuf,
    },
    /// No cgroup has that id.
    #[error("no cgroup has the id {0}: the id is the inode number of its directory (stat -c %i)")]
    NoId(u64),
}

/// The cgroups of this host, as far as the mounted part of the v2 hierarchy goes.
///
/// Paths are as this process's cgroup namespace has them, like those in /proc/PID/cgroup. What was once
/// found stays known after the group is gone: ids are not used twice.
pub struct Cgroups {
    hierarchy: Option<Hierarchy>,
    kept: HashMap<u64, Name>,
}

impl Cgroups {
    /// Finds the hierarchy: the widest cgroup2 mount.
    #[must_use]
    pub fn new() -> Self {
        let mounts = mounts::of_type("cgroup2");
        let widest = mounts.into_iter().min_by_key(|mount| mount.root.as_os_str().len());
        let hierarchy = widest.and_then(|mount| {
            let by_id = ById::below(&mount.point).ok()?;
            Some(Hierarchy { root: mount.root, point: mount.point, by_id })
        });
        Self { hierarchy, kept: HashMap::new() }
    }

    /// The path of the cgroup with this id; `None` where there is none, or none to be seen from here.
    pub fn path_of(&mut self, id: u64) -> Option<Name> {
        if let Some(path) = self.kept.get(&id) {
            return Some(path.clone());
        }
        let hierarchy = self.hierarchy.as_mut()?;
        let directory = hierarchy.by_id.find(id)?;
        let path = hierarchy.path(&directory)?;
        self.keep(id, path.clone());
        Some(path)
    }

    /// The cgroup that an argument names: its id in decimal digits, its path below the hierarchy's root
    /// (`/system.slice/ssh.service`), or its directory (`/sys/fs/cgroup/system.slice/ssh.service`).
    ///
    /// # Errors
    /// [`CgroupError`] says what is wrong with it.
    pub fn id_of(&mut self, argument: &OsStr) -> Result<Cgroup, CgroupError> {
        if self.hierarchy.is_none() {
            return Err(CgroupError::NoHierarchy);
        }
        if let Some(id) = argument.to_str().and_then(|text| text.parse().ok()) {
            let path = self.path_of(id).ok_or(CgroupError::NoId(id))?;
            return Ok(Cgroup { id, path: Some(path) });
        }
        let hierarchy = self.hierarchy.as_ref().ok_or(CgroupError::NoHierarchy)?;
        let given = Path::new(argument);
        let name = || Name::from_bytes(argument.as_bytes());
        let outside = || CgroupError::Outside { path: name(), mounted: hierarchy.point.clone() };
        let directory = if given.starts_with(&hierarchy.point) {
            given.to_owned()
        } else {
            hierarchy.directory(given).ok_or_else(outside)?
        };
        let id = hierarchy.id(&directory).map_err(|cause| CgroupError::NoGroup { path: name(), cause })?;
        let path = hierarchy.path(&directory).ok_or_else(outside)?;
        self.keep(id, path.clone());
        Ok(Cgroup { id, path: Some(path) })
    }

    /// The cgroup of a process; `None` where the process is gone, or its cgroup cannot be seen from here.
    pub fn of_process(&mut self, pid: u32) -> Option<Cgroup> {
        let hierarchy = self.hierarchy.as_ref()?;
        let text = fs::read(format!("/proc/{pid}/cgroup")).ok()?;
        let path = unified(&text)?;
        let id = hierarchy.id(&hierarchy.directory(Path::new(OsStr::from_bytes(path)))?).ok()?;
        let path = Name::from_bytes(path);
        self.keep(id, path.clone());
        Some(Cgroup { id, path: Some(path) })
    }

    /// The processes in a cgroup now, but not in those below it; none where that cannot be read.
    pub(crate) fn members(&mut self, id: u64) -> Vec<u32> {
        let Some(path) = self.path_of(id) else { return Vec::new() };
        let path = Path::new(OsStr::from_bytes(path.as_bytes()));
        let directory = self.hierarchy.as_ref().and_then(|hierarchy| hierarchy.directory(path));
        let text = directory.and_then(|directory| fs::read_to_string(directory.join("cgroup.procs")).ok());
        text.unwrap_or_default().lines().filter_map(|line| line.parse().ok()).collect()
    }

    fn keep(&mut self, id: u64, path: Name) {
        if self.kept.len() >= MOST_KEPT {
            self.kept.clear();
        }
        self.kept.insert(id, path);
    }
}

impl Default for Cgroups {
    fn default() -> Self {
        Self::new()
    }
}

/// Where the hierarchy is mounted.
struct Hierarchy {
    /// Which cgroup is mounted: `/` but in some containers.
    root: PathBuf,
    point: PathBuf,
    by_id: ById,
}

impl Hierarchy {
    /// The path of the cgroup with this directory.
    fn path(&self, directory: &Path) -> Option<Name> {
        let below = directory.strip_prefix(&self.point).ok()?;
        // Joining nothing would leave a slash at the end.
        let path = if below.as_os_str().is_empty() { self.root.clone() } else { self.root.join(below) };
        Some(Name::from_bytes(path.as_os_str().as_bytes()))
    }

    /// The directory of the cgroup with this path; `None` for one outside of what is mounted. (Cgroups
    /// outside of this process's cgroup namespace read `/../…`, which would lead out of the file system.)
    fn directory(&self, path: &Path) -> Option<PathBuf> {
        let path = Path::new("/").join(path);
        let below = path.strip_prefix(&self.root).ok()?;
        let inside = below.components().all(|component| matches!(component, Component::Normal(_)));
        inside.then(|| self.point.join(below))
    }

    /// The id of the cgroup with this directory.
    fn id(&self, directory: &Path) -> io::Result<u64> {
        let metadata = fs::metadata(directory)?;
        // Files of a cgroup have inode numbers too.
        if metadata.is_dir() && metadata.dev() == fs::metadata(&self.point)?.dev() {
            Ok(metadata.ino())
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }
}

/// The path of the v2 hierarchy in /proc/PID/cgroup, as it is: the kernel takes no group with a newline in
/// its name (`cgroup_mkdir`), and escapes nothing.
fn unified(cgroup: &[u8]) -> Option<&[u8]> {
    cgroup.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::"))
}

#[cfg(test)]
mod tests;
