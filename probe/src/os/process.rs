//! Processes and the sockets that they hold, from /proc.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    ops::ControlFlow,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use nix::{errno::Errno, fcntl::readlinkat, sys::signal::kill, unistd::Pid};

use crate::model::{Name, OpenerFate, Task};

/// The most threads that search /proc; more would only contend for its locks.
const MAX_WORKERS: usize = 4;

/// The most times that the threads of a process are listed.
const MAX_LISTINGS: usize = 20;

/// The links of /proc/PID/task that are not threads.
const OTHER_LINKS: u64 = 2;

/// The holders of all sockets, by the sockets' inode numbers.
///
/// Of several holders (a descriptor inherited over fork(2)), the one with the lowest pid. Processes that exit meanwhile
/// are left out, as are those whose descriptors this user may not read.
#[must_use]
pub fn socket_holders() -> HashMap<u32, Task> {
    let mut holders = HashMap::new();
    visit_sockets(&pids(), |pid, sockets| {
        if let Some(task) = task(pid) {
            for inode in sockets {
                holders.entry(*inode).or_insert_with(|| task.clone());
            }
        }
        ControlFlow::Continue(())
    });
    holders
}

/// Whether /proc is mounted and shows this process.
pub(crate) fn has_proc() -> bool {
    Path::new("/proc/self").is_symlink()
}

/// The ids of all processes, in ascending order.
pub(crate) fn pids() -> Vec<u32> {
    let mut pids: Vec<u32> = entries(Path::new("/proc")).filter_map(|name| name.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// Calls `visit` with each of these processes that holds sockets and the sockets' inode numbers, until it breaks. Returns
/// how many processes' descriptors this user may not read.
///
/// Each descriptor is read as a link: stat(2) would query its file system, and one of a dead NFS server never answers.
pub(crate) fn visit_sockets(pids: &[u32], mut visit: impl FnMut(u32, &[u32]) -> ControlFlow<()>) -> usize {
    let mut hidden = 0;
    for pid in pids {
        match sockets(&directory(*pid).join("fd")) {
            Ok(sockets) if sockets.is_empty() => {}
            Ok(sockets) => {
                if visit(*pid, &sockets).is_break() {
                    break;
                }
            }
            Err(cause) => hidden += usize::from(cause.kind() == io::ErrorKind::PermissionDenied),
        }
    }
    hidden
}

/// Each of these processes that holds sockets with the sockets' inode numbers, in order of process id, and how many
/// processes' descriptors this user may not read.
///
/// A process may hold a hundred thousand sockets and each takes a system call, so several threads share the work.
pub(crate) fn all_sockets(pids: &[u32]) -> (Vec<(u32, Vec<u32>)>, usize) {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS);
    let next = AtomicUsize::new(0);
    let search = || {
        let mut held = Vec::new();
        let mut hidden = 0;
        while let Some(pid) = pids.get(next.fetch_add(1, Ordering::Relaxed)) {
            hidden += visit_sockets(&[*pid], |pid, sockets| {
                held.push((pid, sockets.to_vec()));
                ControlFlow::Continue(())
            });
        }
        (held, hidden)
    };
    let (mut held, hidden) = thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(search)).collect();
        others.into_iter().fold(search(), |(mut held, hidden), worker| {
            let (more, more_hidden) = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            held.extend(more);
            (held, hidden + more_hidden)
        })
    });
    held.sort_unstable_by_key(|(pid, _)| *pid);
    (held, hidden)
}

/// The inode numbers of the sockets in a directory of descriptors. Links are read relative to the open directory, which
/// saves most of the path lookup.
fn sockets(descriptors: &Path) -> io::Result<Vec<u32>> {
    let directory = File::open(descriptors)?;
    let mut sockets = Vec::new();
    for entry in fs::read_dir(descriptors)? {
        match readlinkat(&directory, entry?.file_name().as_os_str()) {
            Ok(target) => sockets.extend(target.to_str().and_then(socket_inode)),
            // Listing descriptors needs less privilege than reading them.
            Err(Errno::EACCES) => return Err(Errno::EACCES.into()),
            // It was closed meanwhile.
            Err(_) => {}
        }
    }
    Ok(sockets)
}

/// The inode number of the initial pid namespace (`PROC_PID_INIT_INO`).
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Whether this process is in a pid namespace other than the initial one, and so sees only some processes, by other pids.
pub(crate) fn is_in_a_pid_namespace() -> bool {
    fs::read_link("/proc/self/ns/pid").is_ok_and(|name| name != Path::new(INITIAL_PID_NAMESPACE))
}

/// Whether a process has this id in the initial pid namespace; `None` where this process is in another one.
pub(crate) fn exists(pid: u32) -> Option<bool> {
    let is_gone =
        || i32::try_from(pid).is_err() || kill(Pid::from_raw(pid as i32), None) == Err(Errno::ESRCH);
    (!is_in_a_pid_namespace()).then(|| !is_gone())
}

/// What has become of a process that opened the socket with this inode number, by its pid in the initial pid namespace.
/// `None` where this process is in another one, or may not read the descriptors.
pub(crate) fn opener_fate(pid: u32, inode: u32) -> Option<OpenerFate> {
    if !exists(pid)? {
        return Some(OpenerFate::Exited);
    }
    match sockets(&directory(pid).join("fd")) {
        Ok(sockets) if sockets.contains(&inode) => Some(OpenerFate::Holds),
        Ok(_) => Some(if is_zombie(pid) { OpenerFate::Exited } else { OpenerFate::Closed }),
        Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => None,
        // A zombie has no descriptors, nor has a process that has exited meanwhile.
        Err(_) => Some(OpenerFate::Exited),
    }
}

/// Whether the process has exited, and its parent has not waited for it.
fn is_zombie(pid: u32) -> bool {
    let status = fs::read_to_string(directory(pid).join("status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && line.contains('Z'))
}

/// The process with this id; `None` if it has exited.
pub(crate) fn task(pid: u32) -> Option<Task> {
    let process = directory(pid);
    let comm = fs::read(process.join("comm")).ok()?;
    let status = fs::read(process.join("status")).ok()?;
    let uid = real_uid(&String::from_utf8_lossy(&status))?;
    Some(Task { pid, uid, comm: Name::from_bytes(comm.strip_suffix(b"\n").unwrap_or(&comm)) })
}

/// The ids of a process's threads, from its directory /proc/PID/task.
///
/// The kernel's walk over the threads stops early at one that has just exited (`next_tid`). So they are listed until two
/// listings agree with each other and with the directory's link count (`proc_task_getattr`).
pub(crate) fn threads(directory: &Path) -> Vec<u32> {
    let list = || -> Vec<u32> { entries(directory).filter_map(|name| name.parse().ok()).collect() };
    let count =
        || fs::metadata(directory).map_or(0, |directory| directory.nlink().saturating_sub(OTHER_LINKS));
    let mut threads = list();
    for _ in 1..MAX_LISTINGS {
        let is_complete = threads.len() as u64 == count();
        // A single thread cannot interrupt the walk.
        if is_complete && threads.len() <= 1 {
            break;
        }
        let before = std::mem::replace(&mut threads, list());
        if is_complete && threads == before {
            break;
        }
    }
    threads
}

/// The names in a directory; none if it cannot be read.
fn entries(directory: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

fn directory(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// The inode number in the target of a /proc/PID/fd link: `socket:[4711]`.
fn socket_inode(target: &str) -> Option<u32> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// The real uid in /proc/PID/status: the first number of the line `Uid:`, as `bpf_get_current_uid_gid` returns it.
fn real_uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        os::fd::AsRawFd,
        process,
        sync::{Barrier, mpsc},
    };

    use super::*;
    use crate::os::testing::eventually;

    /// Threads that exit while the threads are listed.
    const EXITING: usize = 20;

    #[test]
    fn this_process_holds_its_own_socket() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let inode = socket_inode(link.to_str().unwrap()).unwrap();
        let holder = socket_holders().remove(&inode).unwrap();
        assert_eq!(holder.pid, process::id());
        assert_eq!(holder.uid, nix::unistd::getuid().as_raw());
        assert!(!holder.comm.is_empty());

        drop(socket);
        eventually("no process holds the socket", || !socket_holders().contains_key(&inode));
    }

    #[test]
    fn a_thread_is_listed_while_others_exit() {
        let process = Path::new("/proc/self/task");
        for _ in 0..200 {
            let go = Barrier::new(EXITING + 2);
            let (release, released) = mpsc::channel::<()>();
            let (sender, receiver) = mpsc::channel();
            thread::scope(|scope| {
                // These come before the remaining thread in the list.
                (0..EXITING).for_each(|_| drop(scope.spawn(|| go.wait())));
                scope.spawn({
                    let go = &go;
                    move || {
                        sender.send(nix::unistd::gettid().as_raw().unsigned_abs()).unwrap();
                        go.wait();
                        released.recv().unwrap_err();
                    }
                });
                let remaining = receiver.recv().unwrap();
                go.wait();
                let is_listed = (0..10).all(|_| threads(process).contains(&remaining));
                drop(release);
                assert!(is_listed);
            });
        }
    }

    #[test]
    fn only_socket_links_have_an_inode() {
        assert_eq!(socket_inode("socket:[4711]"), Some(4711));
        assert_eq!(socket_inode("pipe:[4711]"), None);
        assert_eq!(socket_inode("/tmp/socket:[x]"), None);
    }

    #[test]
    fn the_real_uid_is_the_first_number() {
        assert_eq!(real_uid("Name:\tsu\nUid:\t1000\t0\t0\t0\nGid:\t1\t2\t3\t4\n"), Some(1000));
        assert_eq!(real_uid("Name:\tsu\n"), None);
    }
}
