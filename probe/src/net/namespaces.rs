//! Every network namespace that can be reached from here, by its inode number.

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

/// The least time between two looks for a namespace that is not known.
const PAUSE: Duration = Duration::from_millis(100);
/// The part of the time that may go by looking: one in so many.
const SHARE: u32 = 20;
/// How many ways to one namespace are remembered, for when one of them goes.
const WAYS: usize = 4;

/// The network namespaces that a process or thread in this /proc is in, or that are mounted somewhere in this
/// mount namespace (as `ip netns` and container runtimes do).
///
/// One that is kept by nothing but an open descriptor or a socket is not among them: finding those would mean
/// to look at every descriptor of every process. Only the ways there are remembered: holding a namespace open
/// would keep it, and all devices in it, alive after its container is gone.
#[derive(Debug)]
pub struct Namespaces {
    ways: BTreeMap<u32, Vec<PathBuf>>,
    hidden: usize,
    looked: Instant,
    took: Duration,
}

impl Namespaces {
    /// Looks for them. Threads are looked at too, since each may be in a namespace of its own; it is a matter of
    /// microseconds a thread.
    #[must_use]
    pub fn reachable() -> Self {
        let mut namespaces =
            Self { ways: BTreeMap::new(), hidden: 0, looked: Instant::now(), took: Duration::ZERO };
        namespaces.look();
        namespaces
    }

    /// The namespace with this inode number. One that is not known is looked for again, unless that has just
    /// been done: at most one twentieth of the time goes by looking.
    pub fn get(&mut self, inode: u32) -> Option<Namespace> {
        self.open(inode).or_else(|| {
            if self.looked.elapsed() < PAUSE.max(self.took * SHARE) {
                return None;
            }
            self.look();
            self.open(inode)
        })
    }

    /// All of them, those left out that are gone meanwhile.
    pub fn iter(&self) -> impl Iterator<Item = Namespace> {
        self.ways.keys().filter_map(|inode| self.open(*inode))
    }

    /// How many processes and threads there were whose namespace could not be seen: that takes CAP_SYS_PTRACE,
    /// and a security module that allows it.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// A path that leads there, for a person to type. Where it is mounted, that is it: mounts outlive processes.
    #[must_use]
    pub fn way(&self, inode: u32) -> Option<&Path> {
        self.ways.get(&inode)?.first().map(PathBuf::as_path)
    }

    fn open(&self, inode: u32) -> Option<Namespace> {
        let at = |way: &PathBuf| Namespace::at(way).ok().flatten();
        // A process may have gone elsewhere, and its number to another one.
        self.ways.get(&inode)?.iter().filter_map(at).find(|namespace| namespace.inode() == inode)
    }

    fn look(&mut self) {
        let begin = Instant::now();
        self.ways.clear();
        self.hidden = 0;
        // Mounts outlive processes, so they come first.
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
        self.looked = Instant::now();
        self.took = self.looked - begin;
    }

    /// Remembers where this way leads; false where nobody can tell.
    fn visit(&mut self, way: PathBuf) -> bool {
        match fs::read_link(&way) {
            Ok(name) => {
                if let Some(inode) = name.to_str().and_then(inode_in) {
                    self.add(inode, way);
                }
                true
            }
            // Any other error means that it has ended.
            Err(cause) => {
                self.hidden += usize::from(cause.kind() == io::ErrorKind::PermissionDenied);
                false
            }
        }
    }

    fn add(&mut self, inode: u32, way: PathBuf) {
        let ways = self.ways.entry(inode).or_default();
        if ways.len() < WAYS {
            ways.push(way);
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

    /// A cat(1) inside, which ends when its input does.
    fn child_in(namespace: &Namespace) -> Child {
        let start = || Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        namespace.enter(start).unwrap().unwrap()
    }

    fn end(mut child: Child) {
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
        end(child);
        assert!(namespaces.get(inside.inode()).is_none());
        assert!(Namespaces::reachable().get(inside.inode()).is_none());
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn a_thread_may_be_elsewhere() {
        let inside = Namespace::private().unwrap();
        let found = inside.enter(|| Namespaces::reachable().get(inside.inode()).is_some()).unwrap();
        assert!(found);
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn one_that_came_later_is_looked_for_but_not_over_and_over() {
        let inside = Namespace::private().unwrap();
        let mut namespaces = Namespaces::reachable();
        let (entered, is_inside) = mpsc::channel();
        let (leave, left) = mpsc::channel::<()>();
        let spawned = inside.spawn(move || {
            entered.send(()).unwrap();
            left.recv().unwrap_err();
        });
        is_inside.recv().unwrap();
        namespaces.took = Duration::from_secs(3600);
        assert!(namespaces.get(inside.inode()).is_none());
        namespaces.took = Duration::ZERO;
        namespaces.looked -= PAUSE;
        assert!(namespaces.get(inside.inode()).is_some());
        drop(leave);
        spawned.unwrap().join().unwrap();
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn a_mounted_namespace_needs_nobody_in_it() {
        let inside = Namespace::private().unwrap();
        let place = tempfile::NamedTempFile::new().unwrap();
        let (wanted, point) = (inside.inode(), place.path().to_owned());
        let check = move || {
            // A mount namespace of this thread's own takes the mount with it. One thread of several may
            // leave the others' (CLONE_FS is shared with them until then).
            unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).unwrap();
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
                .unwrap();
            let source = format!(
                "/proc/thread-self/fd/{}",
                std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&inside))
            );
            mount(Some(source.as_str()), &point, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
            drop(inside);
            Namespaces::reachable().get(wanted).map(|namespace| namespace.inode())
        };
        assert_eq!(thread::spawn(check).join().unwrap(), Some(wanted));
        assert!(Namespaces::reachable().get(wanted).is_none());
    }
}
