//! From a cgroup's id to its directory.

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

/// `FILEID_KERNFS`: the file handle is the node's id, as it is since Linux 5.5.
const FILEID_KERNFS: i32 = 0xfe;
/// What the kernel adds to the name of a directory that is gone.
const DELETED: &[u8] = b" (deleted)";
/// The least time between two walks.
const PAUSE: Duration = Duration::from_millis(200);
/// The part of the time that may go by walking: one in so many.
const SHARE: u32 = 20;
/// With more groups remembered than this, those that are gone are forgotten.
const MOST_WALKED: usize = 1 << 16;

/// The directories of a mounted hierarchy.
pub(super) struct ById {
    mount: File,
    point: PathBuf,
    /// Where the kernel opens no handles, what a walk found; entries stay after their group is gone.
    walked: HashMap<u64, PathBuf>,
    /// When the last walk ended, and how long it took.
    last_walk: Option<(Instant, Duration)>,
}

impl ById {
    /// Those of the hierarchy that is mounted there.
    ///
    /// # Errors
    /// The mount point cannot be opened.
    pub(super) fn below(point: &Path) -> io::Result<Self> {
        let mount = File::open(point)?;
        Ok(Self { mount, point: point.to_owned(), walked: HashMap::new(), last_walk: None })
    }

    /// The directory of the group with this id: by its file handle, in two system calls; where the kernel
    /// opens none (this needs CAP_DAC_READ_SEARCH, and Linux 5.5), by a walk over all groups, which is done
    /// again for an unknown id, but not over and over.
    pub(super) fn find(&mut self, id: u64) -> Option<PathBuf> {
        match self.open(id) {
            Ok(directory) => target(&directory),
            // The kernel's word that there is no such group.
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
        // SAFETY: the pointer is to a handle that has as many bytes behind its head as it says, and the kernel
        // only reads them.
        let descriptor = unsafe { libc::open_by_handle_at(mount, (&raw mut handle).cast(), flags) };
        let descriptor = Errno::result(descriptor)?;
        // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
        Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
    }

    fn find_by_walk(&mut self, id: u64) -> Option<PathBuf> {
        let rested = self.last_walk.is_none_or(|(end, took)| end.elapsed() >= PAUSE.max(took * SHARE));
        if rested && !self.walked.contains_key(&id) {
            self.walk();
        }
        self.walked.get(&id).cloned()
    }

    fn walk(&mut self) {
        let begin = Instant::now();
        if self.walked.len() > MOST_WALKED {
            self.walked.clear();
        }
        if let Ok(root) = self.mount.metadata() {
            self.walked.insert(root.ino(), self.point.clone());
        }
        let mut ahead = vec![self.point.clone()];
        while let Some(directory) = ahead.pop() {
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    self.walked.insert(entry.ino(), entry.path());
                    ahead.push(entry.path());
                }
            }
        }
        self.last_walk = Some((Instant::now(), begin.elapsed()));
    }
}

/// Where an open directory is.
fn target(directory: &OwnedFd) -> Option<PathBuf> {
    let path = fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd())).ok()?;
    // Gone since it was opened; or somebody called it so.
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
    fn the_handle_and_the_walk_agree() {
        let mount = mounts::of_type("cgroup2").remove(0);
        let mut by_id = ById::below(&mount.point).unwrap();
        by_id.walk();
        for (id, path) in by_id.walked.clone() {
            // Another test may have removed it meanwhile.
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
