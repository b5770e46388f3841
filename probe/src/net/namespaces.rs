//! The network namespaces that this process can reach, by inode number.

mod argument;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub use self::argument::{NetnsError, resolve};
use super::{Namespace, namespace::inode_in};
use crate::os::{mounts, process};

/// The minimum time between two searches for an unknown namespace.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// At most one part in this many of the time is spent on searches.
const SEARCH_SHARE: u32 = 20;
/// Paths stored per namespace, in case some of them vanish.
const MAX_PATHS: usize = 4;

/// The network namespaces of all processes and threads in this /proc, and those mounted in this mount namespace (by
/// `ip netns` or a container runtime).
///
/// Namespaces held only by an open descriptor or a socket are missing: finding them would take a search of every
/// descriptor of every process. Only paths are stored: an open namespace would stay alive, with all its devices, after
/// its container has exited.
#[derive(Debug)]
pub struct Namespaces {
    paths: BTreeMap<u32, Vec<PathBuf>>,
    hidden: usize,
    /// The end and the duration of the last search.
    searched: Instant,
    took: Duration,
}

impl Namespaces {
    /// Searches for all namespaces. Threads are included, since each may be in a different one; a thread takes
    /// microseconds.
    #[must_use]
    pub fn reachable() -> Self {
        let mut namespaces =
            Self { paths: BTreeMap::new(), hidden: 0, searched: Instant::now(), took: Duration::ZERO };
        namespaces.search();
        namespaces
    }

    /// Opens the namespace with this inode number. An unknown one causes a new search, at a limited rate: at most one
    /// twentieth of the time is spent on searches.
    pub fn get(&mut self, inode: u32) -> Option<Namespace> {
        self.open(inode).or_else(|| {
            if self.searched.elapsed() < MIN_INTERVAL.max(self.took * SEARCH_SHARE) {
                return None;
            }
            self.search();
            self.open(inode)
        })
    }

    /// Opens all namespaces, without those that have vanished.
    pub fn iter(&self) -> impl Iterator<Item = Namespace> {
        self.paths.keys().filter_map(|inode| self.open(*inode))
    }

    /// How many processes and threads did not let this process read their namespace: that needs CAP_SYS_PTRACE and a
    /// security module that allows it.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// A path of the namespace for use in commands; a mount point if there is one, since mounts outlive processes.
    #[must_use]
    pub fn path(&self, inode: u32) -> Option<&Path> {
        self.paths.get(&inode)?.first().map(PathBuf::as_path)
    }

    fn open(&self, inode: u32) -> Option<Namespace> {
        let open = |path: &PathBuf| Namespace::at(path).ok().flatten();
        // A process may have changed its namespace, or its pid may have been reused.
        self.paths.get(&inode)?.iter().filter_map(open).find(|namespace| namespace.inode() == inode)
    }

    fn search(&mut self) {
        let start = Instant::now();
        self.paths.clear();
        self.hidden = 0;
        // Mounts come first, since they outlive processes.
        for mount in mounts::of_type("nsfs") {
            if let Some(inode) = mount.root.to_str().and_then(inode_in) {
                self.add(inode, mount.point);
            }
        }
        for pid in process::pids() {
            let process = Path::new("/proc").join(pid.to_string());
            if !self.visit(process.join("ns/net")) {
                continue;
            }
            let threads = process.join("task");
            for thread in process::threads(&threads) {
                if thread != pid {
                    self.visit(threads.join(thread.to_string()).join("ns/net"));
                }
            }
        }
        self.searched = Instant::now();
        self.took = self.searched - start;
    }

    /// Adds the namespace at this path; false if it cannot be read.
    fn visit(&mut self, path: PathBuf) -> bool {
        match fs::read_link(&path) {
            Ok(name) => {
                if let Some(inode) = name.to_str().and_then(inode_in) {
                    self.add(inode, path);
                }
                true
            }
            // Any other error means that the process or thread has exited.
            Err(cause) => {
                self.hidden += usize::from(cause.kind() == io::ErrorKind::PermissionDenied);
                false
            }
        }
    }

    fn add(&mut self, inode: u32, path: PathBuf) {
        let paths = self.paths.entry(inode).or_default();
        if paths.len() < MAX_PATHS {
            paths.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        process::{Child, Command, Stdio},
        sync::mpsc,
        thread,
    };

    use nix::{
        mount::{MsFlags, mount},
        sched::{CloneFlags, unshare},
    };

    use super::*;

    /// Starts cat(1) inside, which exits when its stdin closes.
    fn child_in(namespace: &Namespace) -> Child {
        let start = || Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        namespace.enter(start).unwrap().unwrap()
    }

    fn stop(mut child: Child) {
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn the_own_namespace_is_reachable() {
        let host = Namespace::host().unwrap().inode();
        let mut namespaces = Namespaces::reachable();
        assert_eq!(namespaces.get(host).unwrap().inode(), host);
        assert!(namespaces.iter().any(|namespace| namespace.inode() == host));
        assert!(namespaces.get(1).is_none());
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn a_namespace_is_reachable_as_long_as_a_process_is_in_it() {
        let inside = Namespace::private().unwrap();
        let child = child_in(&inside);
        let mut namespaces = Namespaces::reachable();
        assert_eq!(namespaces.get(inside.inode()).unwrap().inode(), inside.inode());
        stop(child);
        assert!(namespaces.get(inside.inode()).is_none());
        assert!(Namespaces::reachable().get(inside.inode()).is_none());
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn a_threads_namespace_is_reachable() {
        let inside = Namespace::private().unwrap();
        let found = inside.enter(|| Namespaces::reachable().get(inside.inode()).is_some()).unwrap();
        assert!(found);
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn a_new_namespace_is_found_by_a_rate_limited_search() {
        let inside = Namespace::private().unwrap();
        let mut namespaces = Namespaces::reachable();
        let (sender, entered) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let spawned = inside.spawn(move || {
            sender.send(()).unwrap();
            released.recv().unwrap_err();
        });
        entered.recv().unwrap();
        namespaces.took = Duration::from_secs(3600);
        assert!(namespaces.get(inside.inode()).is_none());
        namespaces.took = Duration::ZERO;
        namespaces.searched -= MIN_INTERVAL;
        assert!(namespaces.get(inside.inode()).is_some());
        drop(release);
        spawned.unwrap().join().unwrap();
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn a_mounted_namespace_without_processes_is_reachable() {
        let inside = Namespace::private().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let (inode, point) = (inside.inode(), file.path().to_owned());
        let check = move || {
            // A private mount namespace of this thread removes the mount with it. A thread of a multithreaded process can
            // unshare it only together with CLONE_FS.
            unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).unwrap();
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
                .unwrap();
            let source = format!(
                "/proc/thread-self/fd/{}",
                std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&inside))
            );
            mount(Some(source.as_str()), &point, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
            drop(inside);
            Namespaces::reachable().get(inode).map(|namespace| namespace.inode())
        };
        assert_eq!(thread::spawn(check).join().unwrap(), Some(inode));
        assert!(Namespaces::reachable().get(inode).is_none());
    }
}
