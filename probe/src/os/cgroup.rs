//! Cgroups of the v2 hierarchy: id to path, path to id, the cgroup of a process, the processes of a cgroup.

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

/// Cached paths before the cache is cleared: a few megabytes.
const MAX_CACHED: usize = 1 << 16;

/// Why `--cgroup` does not name a cgroup.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No file system of type cgroup2 is mounted.
    #[error("no cgroup v2 hierarchy is mounted; mount one: mount -t cgroup2 none /sys/fs/cgroup")]
    NoHierarchy,
    /// The path does not exist.
    #[error(
        "no cgroup `{path}`: {cause}; give the path below the hierarchy's root, as in /proc/PID/cgroup, e.g. \
         /system.slice/ssh.service"
    )]
    NoGroup {
        /// The argument, escaped for a terminal.
        path: Name,
        /// What stat(2) returned.
        cause: io::Error,
    },
    /// The path leads outside the hierarchy.
    #[error("`{path}` is not in the cgroup v2 hierarchy, which is mounted at {}", .mounted.display())]
    Outside {
        /// The argument, escaped for a terminal.
        path: Name,
        /// The hierarchy's mount point.
        mounted: PathBuf,
    },
    /// No cgroup has that id.
    #[error("no cgroup has the id {0}; the id is the inode number of its directory: stat -c %i DIRECTORY")]
    NoId(u64),
}

/// The cgroups in the mounted part of the v2 hierarchy.
///
/// Paths are relative to this process's cgroup namespace, as in /proc/PID/cgroup. A cgroup stays known after it is
/// removed, since ids are not reused.
pub struct Cgroups {
    hierarchy: Option<Hierarchy>,
    cached: HashMap<u64, Name>,
}

impl Cgroups {
    /// Finds the hierarchy: of all cgroup2 mounts, the one with the shortest root, which contains the most.
    #[must_use]
    pub fn new() -> Self {
        let mounts = mounts::of_type("cgroup2");
        let widest = mounts.into_iter().min_by_key(|mount| mount.root.as_os_str().len());
        let hierarchy = widest.and_then(|mount| {
            let by_id = ById::below(&mount.point).ok()?;
            Some(Hierarchy { root: mount.root, point: mount.point, by_id })
        });
        Self { hierarchy, cached: HashMap::new() }
    }

    /// The path of the cgroup with this id; `None` if it does not exist or is outside the mounted part.
    pub fn path_of(&mut self, id: u64) -> Option<Name> {
        if let Some(path) = self.cached.get(&id) {
            return Some(path.clone());
        }
        let hierarchy = self.hierarchy.as_mut()?;
        let directory = hierarchy.by_id.find(id)?;
        let path = hierarchy.path(&directory)?;
        self.cache(id, path.clone());
        Some(path)
    }

    /// The cgroup that an argument names: by decimal id, by path below the hierarchy's root (`/system.slice/ssh.service`),
    /// or by directory (`/sys/fs/cgroup/system.slice/ssh.service`).
    ///
    /// # Errors
    /// [`CgroupError`] says what is wrong with the argument.
    pub fn id_of(&mut self, argument: &OsStr) -> Result<Cgroup, CgroupError> {
        if self.hierarchy.is_none() {
            return Err(CgroupError::NoHierarchy);
        }
        if let Some(id) = argument.to_str().and_then(|text| text.parse().ok()) {
            let path = self.path_of(id).ok_or(CgroupError::NoId(id))?;
            return Ok(Cgroup { id, path: Some(path) });
        }
        let hierarchy = self.hierarchy.as_ref().ok_or(CgroupError::NoHierarchy)?;
        let argument_path = Path::new(argument);
        let name = || Name::from_bytes(argument.as_bytes());
        let outside = || CgroupError::Outside { path: name(), mounted: hierarchy.point.clone() };
        let directory = if argument_path.starts_with(&hierarchy.point) {
            argument_path.to_owned()
        } else {
            hierarchy.directory(argument_path).ok_or_else(outside)?
        };
        let id = hierarchy.id(&directory).map_err(|cause| CgroupError::NoGroup { path: name(), cause })?;
        let path = hierarchy.path(&directory).ok_or_else(outside)?;
        self.cache(id, path.clone());
        Ok(Cgroup { id, path: Some(path) })
    }

    /// The cgroup of a process; `None` if the process has exited or its cgroup is outside the mounted part.
    pub fn of_process(&mut self, pid: u32) -> Option<Cgroup> {
        let hierarchy = self.hierarchy.as_ref()?;
        let text = fs::read(format!("/proc/{pid}/cgroup")).ok()?;
        let path = unified(&text)?;
        let id = hierarchy.id(&hierarchy.directory(Path::new(OsStr::from_bytes(path)))?).ok()?;
        let path = Name::from_bytes(path);
        self.cache(id, path.clone());
        Some(Cgroup { id, path: Some(path) })
    }

    /// The processes in a cgroup, without those in its children; empty if that cannot be read.
    pub(crate) fn members(&mut self, id: u64) -> Vec<u32> {
        let Some(path) = self.path_of(id) else { return Vec::new() };
        let path = Path::new(OsStr::from_bytes(path.as_bytes()));
        let directory = self.hierarchy.as_ref().and_then(|hierarchy| hierarchy.directory(path));
        let text = directory.and_then(|directory| fs::read_to_string(directory.join("cgroup.procs")).ok());
        text.unwrap_or_default().lines().filter_map(|line| line.parse().ok()).collect()
    }

    fn cache(&mut self, id: u64, path: Name) {
        if self.cached.len() >= MAX_CACHED {
            self.cached.clear();
        }
        self.cached.insert(id, path);
    }
}

impl Default for Cgroups {
    fn default() -> Self {
        Self::new()
    }
}

/// A mount of the hierarchy.
struct Hierarchy {
    /// The cgroup that is mounted: `/`, except in some containers.
    root: PathBuf,
    point: PathBuf,
    by_id: ById,
}

impl Hierarchy {
    /// The path of the cgroup with this directory.
    fn path(&self, directory: &Path) -> Option<Name> {
        let below = directory.strip_prefix(&self.point).ok()?;
        // Joining an empty path would append a slash.
        let path = if below.as_os_str().is_empty() { self.root.clone() } else { self.root.join(below) };
        Some(Name::from_bytes(path.as_os_str().as_bytes()))
    }

    /// The directory of the cgroup with this path; `None` if it is outside the mounted part. (A cgroup outside this
    /// process's cgroup namespace reads `/../…`, which would lead out of the file system.)
    fn directory(&self, path: &Path) -> Option<PathBuf> {
        let path = Path::new("/").join(path);
        let below = path.strip_prefix(&self.root).ok()?;
        let inside = below.components().all(|component| matches!(component, Component::Normal(_)));
        inside.then(|| self.point.join(below))
    }

    /// The id of the cgroup with this directory.
    fn id(&self, directory: &Path) -> io::Result<u64> {
        let metadata = fs::metadata(directory)?;
        // The files of a cgroup have inode numbers, too.
        if metadata.is_dir() && metadata.dev() == fs::metadata(&self.point)?.dev() {
            Ok(metadata.ino())
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }
}

/// The path in the v2 line of /proc/PID/cgroup. It is unescaped: the kernel rejects newlines in names (`cgroup_mkdir`)
/// and escapes nothing.
fn unified(cgroup: &[u8]) -> Option<&[u8]> {
    cgroup.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::"))
}

#[cfg(test)]
mod tests;
