//! Network namespaces without a name, which vanish with their last user.

use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    os::fd::{AsFd, BorrowedFd},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    panic::resume_unwind,
    path::Path,
    sync::Arc,
    thread,
};

use nix::{
    errno::Errno,
    libc,
    sched::{CloneFlags, setns, unshare},
    sys::statfs::{NSFS_MAGIC, fstatfs},
};

use super::link::{Device, LinkError};

/// The namespace of the calling thread.
const THREAD_NETNS: &str = "/proc/thread-self/ns/net";
/// The namespace of the process's main thread, which never changes.
const PROCESS_NETNS: &str = "/proc/self/ns/net";

/// Why a network namespace cannot be created or entered.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// `EPERM` from unshare(2).
    #[error("creating a network namespace is not permitted: run as root, or with CAP_SYS_ADMIN")]
    NotPermitted,
    /// `EINVAL` or `ENOSYS` from unshare(2).
    #[error("this kernel was built without network namespaces (CONFIG_NET_NS)")]
    Unsupported,
    /// `ENOSPC` from unshare(2).
    #[error("this user has reached its limit of network namespaces: raise sysctl user.max_net_namespaces")]
    TooMany,
    /// setns(2) failed.
    #[error("entering a network namespace: {0}; this needs root, or CAP_SYS_ADMIN")]
    Entering(io::Error),
    /// The file in /proc cannot be opened.
    #[error("opening {path}: {cause}; is /proc mounted?")]
    Opening {
        /// The file.
        path: &'static str,
        /// What open(2) returned.
        cause: io::Error,
    },
    /// No thread could be started to enter it.
    #[error("starting a thread: {0}")]
    Thread(io::Error),
    /// Its loopback device cannot be brought up.
    #[error(transparent)]
    Loopback(#[from] LinkError),
}

/// A network namespace, held by a descriptor.
///
/// It has no name in the file system: it exists as long as this value or a clone, a thread inside, or a socket or device
/// opened inside. So nothing is left of it however the process ends. (A closed connection keeps it alive until the kernel
/// has finished it: an orphan whose FIN is never acknowledged does so for as long as `tcp_orphan_retries` allows.)
#[derive(Clone, Debug)]
pub struct Namespace {
    file: Arc<File>,
    inode: u32,
}

impl Namespace {
    /// Creates a namespace with the kernel's default sysctls and its loopback device up.
    ///
    /// # Errors
    /// [`NamespaceError`] says what is missing.
    pub fn private() -> Result<Self, NamespaceError> {
        // unshare(2) moves the calling thread, so a temporary one calls it.
        on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| match errno {
                Errno::EPERM => NamespaceError::NotPermitted,
                Errno::ENOSPC | Errno::EUSERS => NamespaceError::TooMany,
                _ => NamespaceError::Unsupported,
            })?;
            Device::named("lo")?.up()?;
            Self::open(THREAD_NETNS)
        })
    }

    /// The namespace that this process was started in.
    ///
    /// # Errors
    /// /proc is not mounted.
    pub fn host() -> Result<Self, NamespaceError> {
        Self::open(PROCESS_NETNS)
    }

    /// Opens the namespace that a file refers to: /proc/PID/ns/net, or a mount point of one. `None` if the file is not a
    /// network namespace.
    ///
    /// # Errors
    /// open(2)'s.
    pub(super) fn at(path: &Path) -> io::Result<Option<Self>> {
        // The file may be anything, e.g. a FIFO or a terminal; opening it must not block.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        // NS_GET_NSTYPE only on nsfs: another driver may take the same number for a command.
        if fstatfs(&file)?.filesystem_type() != NSFS_MAGIC || !is_network(&file) {
            return Ok(None);
        }
        let inode = inode_of(&file)?;
        Ok(Some(Self { file: Arc::new(file), inode }))
    }

    /// The inode number on nsfs, which is `netns` in the kernel's reports.
    #[must_use]
    pub fn inode(&self) -> u32 {
        self.inode
    }

    /// Runs `visit` inside the namespace, on a scoped thread, and returns its result. Sockets, child processes and TUN
    /// devices that it creates stay inside.
    ///
    /// # Errors
    /// The namespace cannot be entered.
    ///
    /// # Panics
    /// If `visit` panics.
    pub fn enter<T: Send>(&self, visit: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        on_a_thread(|| {
            self.join()?;
            Ok(visit())
        })
    }

    /// Starts a thread inside the namespace that runs `visit`, and returns at once.
    ///
    /// # Errors
    /// The namespace cannot be entered.
    pub fn spawn<T: Send + 'static>(
        &self,
        visit: impl FnOnce() -> T + Send + 'static,
    ) -> Result<thread::JoinHandle<T>, NamespaceError> {
        // A thread starts in the namespace of its parent thread.
        self.enter(|| thread::Builder::new().spawn(visit))?.map_err(NamespaceError::Thread)
    }

    /// Moves the calling thread into the namespace for good.
    fn join(&self) -> Result<(), NamespaceError> {
        // setns(2) requires CAP_SYS_ADMIN even if it changes nothing.
        if Self::open(THREAD_NETNS)?.inode == self.inode {
            return Ok(());
        }
        setns(self, CloneFlags::CLONE_NEWNET).map_err(|errno| NamespaceError::Entering(errno.into()))
    }

    fn open(path: &'static str) -> Result<Self, NamespaceError> {
        let opening = |cause| NamespaceError::Opening { path, cause };
        let file = File::open(path).map_err(opening)?;
        let inode = inode_of(&file).map_err(opening)?;
        Ok(Self { file: Arc::new(file), inode })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn inode_of(file: &File) -> io::Result<u32> {
    Ok(u32::try_from(file.metadata()?.ino()).expect("namespace inode numbers have 32 bits (proc_alloc_inum)"))
}

/// Whether a file on nsfs is a network namespace.
#[expect(unsafe_code, reason = "nix has no NS_GET_NSTYPE")]
fn is_network(file: &File) -> bool {
    // SAFETY: the ioctl takes no argument and changes nothing.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), libc::NS_GET_NSTYPE) };
    kind == libc::CLONE_NEWNET
}

/// The inode number in the target of a /proc/PID/ns/net link: `net:[4026532008]`.
pub(super) fn inode_in(name: &str) -> Option<u32> {
    name.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

/// Runs `work` on a scoped thread and waits for it. The thread inherits the name of the calling thread, so that the kernel
/// reports that as the owner of sockets opened there.
fn on_a_thread<T: Send>(
    work: impl FnOnce() -> Result<T, NamespaceError> + Send,
) -> Result<T, NamespaceError> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().spawn_scoped(scope, work).map_err(NamespaceError::Thread)?;
        worker.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn entering_the_own_namespace_needs_no_privilege() {
        let host = Namespace::host().unwrap();
        assert_eq!(host.enter(|| Namespace::open(THREAD_NETNS).unwrap().inode()).unwrap(), host.inode());
    }

    #[test]
    fn a_file_is_a_network_namespace_by_its_nstype() {
        let host = Namespace::host().unwrap();
        assert_eq!(Namespace::at(Path::new(PROCESS_NETNS)).unwrap().unwrap().inode(), host.inode());
        for other in ["/proc/self/ns/uts", "/proc/self/comm", "/", "/dev/null"] {
            assert!(Namespace::at(Path::new(other)).unwrap().is_none(), "{other}");
        }
        assert!(Namespace::at(Path::new("/no/such/file")).is_err());
        assert_eq!(
            (inode_in("net:[4711]"), inode_in("/net:[4711]"), inode_in("pid:[1]")),
            (Some(4711), None, None)
        );
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn two_namespaces_do_not_share_ports() {
        let [a, b] = [(); 2].map(|()| Namespace::private().unwrap());
        assert_ne!(a.inode(), b.inode());
        let listen = || TcpListener::bind("127.0.0.1:1314");
        let first = a.enter(listen).unwrap().unwrap();
        let second = b.enter(listen).unwrap().unwrap();
        assert_eq!(first.local_addr().unwrap(), second.local_addr().unwrap());
        assert!(a.enter(listen).unwrap().is_err());
    }

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn a_spawned_thread_and_its_children_are_inside() {
        let inside = Namespace::private().unwrap();
        let here = || Namespace::open(THREAD_NETNS).unwrap().inode();
        let seen =
            inside.spawn(move || (here(), thread::spawn(here).join().unwrap())).unwrap().join().unwrap();
        assert_eq!(seen, (inside.inode(), inside.inode()));
        assert_ne!(here(), inside.inode());
    }
}
