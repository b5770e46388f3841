//! Network namespaces that vanish with their last user.

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
const OF_THREAD: &str = "/proc/thread-self/ns/net";
/// The namespace of the process's first thread, which never moves.
const OF_PROCESS: &str = "/proc/self/ns/net";

/// Why there is no namespace, or no way into it.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// `EPERM` from unshare(2).
    #[error("creating a network namespace is not permitted: run as root, or with CAP_SYS_ADMIN")]
    NotPermitted,
    /// `EINVAL` or `ENOSYS` from unshare(2).
    #[error("this kernel has no network namespaces: it was built without CONFIG_NET_NS")]
    Unsupported,
    /// `ENOSPC` from unshare(2).
    #[error("this user has all the network namespaces it may have: raise sysctl user.max_net_namespaces")]
    TooMany,
    /// setns(2) failed.
    #[error("entering a network namespace: {0}; this needs root, or CAP_SYS_ADMIN")]
    Entering(io::Error),
    /// /proc gave no descriptor.
    #[error("opening {path}: {cause}; a network namespace needs /proc mounted")]
    Opening {
        /// The file.
        path: &'static str,
        /// What open(2) returned.
        cause: io::Error,
    },
    /// No thread to enter it with.
    #[error("starting a thread: {0}")]
    Thread(io::Error),
    /// Its loopback device stays down.
    #[error(transparent)]
    Loopback(#[from] LinkError),
}

/// A network namespace, held by a descriptor.
///
/// It has no name in the file system: it is there as long as this value (or a clone), a thread inside,
/// or a socket or device opened inside. So nothing is left of it however the process ends. (A closed
/// connection counts as a user until the kernel has ended it: one whose FIN nobody answers any more
/// keeps its namespace, unseen, for as long as `tcp_orphan_retries` says.)
#[derive(Clone, Debug)]
pub struct Namespace {
    file: Arc<File>,
    inode: u32,
}

impl Namespace {
    /// A new namespace with the kernel's default sysctls and its loopback device up.
    ///
    /// # Errors
    /// [`NamespaceError`] says what is missing.
    pub fn private() -> Result<Self, NamespaceError> {
        // unshare(2) moves the calling thread, so a thread of its own does it and ends.
        on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| match errno {
                Errno::EPERM => NamespaceError::NotPermitted,
                Errno::ENOSPC | Errno::EUSERS => NamespaceError::TooMany,
                _ => NamespaceError::Unsupported,
            })?;
            Device::named("lo")?.up()?;
            Self::open(OF_THREAD)
        })
    }

    /// The namespace that this process was started in.
    ///
    /// # Errors
    /// /proc is not mounted.
    pub fn host() -> Result<Self, NamespaceError> {
        Self::open(OF_PROCESS)
    }

    /// The namespace that a file stands for: /proc/PID/ns/net, or the mount point of one. `None` for a file
    /// that is no network namespace.
    ///
    /// # Errors
    /// open(2)'s.
    pub(super) fn at(path: &Path) -> io::Result<Option<Self>> {
        // Whatever file it is, opening it must not block.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        // The question is for nsfs alone: another file may take the same number for a command.
        if fstatfs(&file)?.filesystem_type() != NSFS_MAGIC || !is_network(&file) {
            return Ok(None);
        }
        let inode = inode_of(&file)?;
        Ok(Some(Self { file: Arc::new(file), inode }))
    }

    /// Its inode number on nsfs: what the kernel's reports call `netns`.
    #[must_use]
    pub fn inode(&self) -> u32 {
        self.inode
    }

    /// Runs `visit` inside, on a thread of its own that may borrow from this one, and returns what it
    /// returns. What it opens (sockets, child processes, TUN devices) stays inside.
    ///
    /// # Errors
    /// The namespace cannot be entered.
    ///
    /// # Panics
    /// With `visit`'s own panic.
    pub fn enter<T: Send>(&self, visit: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        on_a_thread(|| {
            self.move_in()?;
            Ok(visit())
        })
    }

    /// Starts `visit` inside, on a thread of its own that goes on after this returns.
    ///
    /// # Errors
    /// The namespace cannot be entered.
    pub fn spawn<T: Send + 'static>(
        &self,
        visit: impl FnOnce() -> T + Send + 'static,
    ) -> Result<thread::JoinHandle<T>, NamespaceError> {
        // A thread starts in the namespace of the one that starts it.
        self.enter(|| thread::Builder::new().spawn(visit))?.map_err(NamespaceError::Thread)
    }

    /// Moves the calling thread in for the rest of its life.
    fn move_in(&self) -> Result<(), NamespaceError> {
        // setns(2) asks for CAP_SYS_ADMIN even where nothing would change.
        if Self::open(OF_THREAD)?.inode == self.inode {
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
    Ok(u32::try_from(file.metadata()?.ino()).expect("proc_alloc_inum hands out 32 bits"))
}

/// Whether a file on nsfs is a network namespace.
#[expect(unsafe_code, reason = "nix has no NS_GET_NSTYPE")]
fn is_network(file: &File) -> bool {
    // SAFETY: the call takes no argument, and changes nothing.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), libc::NS_GET_NSTYPE) };
    kind == libc::CLONE_NEWNET
}

/// The inode in what /proc/PID/ns/net points to: `net:[4026532008]`.
pub(super) fn inode_in(name: &str) -> Option<u32> {
    name.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

/// Runs `work` on a thread of its own and waits for it. The thread has its maker's name, so that the
/// kernel reports the tool's as the owner of what it opens.
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
    fn the_own_namespace_needs_no_privilege() {
        let host = Namespace::host().unwrap();
        assert_eq!(host.enter(|| Namespace::open(OF_THREAD).unwrap().inode()).unwrap(), host.inode());
    }

    #[test]
    fn a_file_is_a_namespace_by_what_the_kernel_calls_it() {
        let host = Namespace::host().unwrap();
        assert_eq!(Namespace::at(Path::new(OF_PROCESS)).unwrap().unwrap().inode(), host.inode());
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
    fn two_namespaces_share_no_port() {
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
    fn a_spawned_thread_and_its_threads_are_inside() {
        let inside = Namespace::private().unwrap();
        let here = || Namespace::open(OF_THREAD).unwrap().inode();
        let seen =
            inside.spawn(move || (here(), thread::spawn(here).join().unwrap())).unwrap().join().unwrap();
        assert_eq!(seen, (inside.inode(), inside.inode()));
        assert_ne!(here(), inside.inode());
    }
}
