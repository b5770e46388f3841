//! Finds a cgroup's directory by its id.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{DirEntryExt, MetadataExt},
        },
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{errno::Errno, libc};

/// `FILEID_KERNFS`: the file handle is the kernfs node's id, since Linux 5.5.
const FILEID_KERNFS: i32 = 0xfe;
/// The suffix that the kernel appends to the path of a removed directory.
const DELETED: &[u8] = b" (deleted)";
/// The minimum time between two walks.
const MIN_INTERVAL: Duration = Duration::from_millis(200);
/// At most one part in this many of the time is spent on walks.
const WALK_SHARE: u32 = 20;
/// Above this many entries, a walk starts from an empty map, which drops removed cgroups.
const MAX_WALKED: usize = 1 << 16;

/// The directories of a mounted hierarchy.
pub(super) struct ById {
    mount: File,
    point: PathBuf,
    /// The results of walks, used where the kernel opens no handles; entries stay after their cgroup is removed.
    walked: HashMap<u64, PathBuf>,
    /// The end and the duration of the last walk.
    last_walk: Option<(Instant, Duration)>,
}

impl ById {
    /// The directories of the hierarchy mounted at `point`.
    ///
    /// # Errors
    /// The mount point cannot be opened.
    pub(super) fn below(point: &Path) -> io::Result<Self> {
        let mount = File::open(point)?;
        Ok(Self { mount, point: point.to_owned(), walked: HashMap::new(), last_walk: None })
    }

    /// The directory of the cgroup with this id: by file handle, with two system calls; where the kernel opens no handle
    /// (that needs CAP_DAC_READ_SEARCH and Linux 5.5), by a walk over all cgroups. An unknown id causes a new walk, at a
    /// limited rate.
    pub(super) fn find(&mut self, id: u64) -> Option<PathBuf> {
        match self.open(id) {
            Ok(directory) => target(&directory),
            // No cgroup has this id.
            Err(Errno::ESTALE) => None,
            Err(_) => self.find_by_walk(id),
        }
    }

    #[expect(unsafe_code, reason = "nix has no open_by_handle_at")]
    fn open(&self, id: u64) -> Result<OwnedFd, Errno> {
        /// `struct file_handle` with the eight bytes of a kernfs handle.
        #[repr(C)]
        struct Handle {
            bytes: u32,
            kind: i32,
            id: u64,
        }
        let mut handle = Handle { bytes: 8, kind: FILEID_KERNFS, id };
        let mount = self.mount.as_fd().as_raw_fd();
        let flags = libc::O_PATH | libc::O_CLOEXEC;
        // SAFETY: the pointer is to a handle followed by as many bytes as its header says, and the kernel
        // only reads them.
        let descriptor = unsafe { libc::open_by_handle_at(mount, (&raw mut handle).cast(), flags) };
        let descriptor = Errno::result(descriptor)?;
        // SAFETY: the kernel has just returned this descriptor, and nothing else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
    }

    fn find_by_walk(&mut self, id: u64) -> Option<PathBuf> {
        let may_walk =
            self.last_walk.is_none_or(|(end, took)| end.elapsed() >= MIN_INTERVAL.max(took * WALK_SHARE));
        if may_walk && !self.walked.contains_key(&id) {
            self.walk();
        }
        self.walked.get(&id).cloned()
    }

    fn walk(&mut self) {
        let start = Instant::now();
        if self.walked.len() > MAX_WALKED {
            self.walked.clear();
        }
        if let Ok(root) = self.mount.metadata() {
            self.walked.insert(root.ino(), self.point.clone());
        }
        let mut pending = vec![self.point.clone()];
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    self.walked.insert(entry.ino(), entry.path());
                    pending.push(entry.path());
                }
            }
        }
        self.last_walk = Some((Instant::now(), start.elapsed()));
    }
}

/// The path of an open directory.
fn target(directory: &OwnedFd) -> Option<PathBuf> {
    let path = fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd())).ok()?;
    // It was removed after it was opened, unless its name really ends like that.
    match path.as_os_str().as_bytes().strip_suffix(DELETED) {
        Some(name) if !path.exists() => Some(OsStr::from_bytes(name).into()),
        _ => Some(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::mounts;

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn handles_and_walks_find_the_same_directories() {
        let mount = mounts::of_type("cgroup2").remove(0);
        let mut by_id = ById::below(&mount.point).unwrap();
        by_id.walk();
        for (id, path) in by_id.walked.clone() {
            // Another test may have removed it since.
            if let Ok(directory) = by_id.open(id) {
                assert_eq!(target(&directory), Some(path));
            }
        }
        let root = fs::metadata(&mount.point).unwrap().ino();
        assert_eq!(by_id.find(root), Some(mount.point.clone()));
        assert_eq!(by_id.find_by_walk(root), Some(mount.point));
        assert_eq!((by_id.find(u64::MAX), by_id.find_by_walk(u64::MAX)), (None, None));
    }
}
