//! Processes, and the sockets that they hold, by /proc.

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

use nix::{errno::Errno, fcntl::readlinkat};

use crate::model::{Name, Task};

/// How many threads look through /proc at most: more would only wait for each other there.
const MOST_HELPERS: usize = 4;

/// How often the threads of a process are listed at most.
const MOST_LISTS: usize = 20;

/// How many links a directory in /proc has beside those of its threads.
const OTHER_LINKS: u64 = 2;

/// Finds the holders of all sockets that processes in this /proc hold, by the sockets' inode numbers.
///
/// Of several holders (a descriptor inherited over fork(2)) it names the one with the lowest pid.
/// Processes that end meanwhile, or whose descriptors this user may not see, are left out.
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

/// The ids of all processes, lowest first.
pub(crate) fn pids() -> Vec<u32> {
    let mut pids: Vec<u32> = entries(Path::new("/proc")).filter_map(|name| name.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// Shows the inode numbers of the sockets that each of these processes holds, until told to stop; those that
/// hold none are passed over. Returns how many processes' descriptors this user may not see.
///
/// A descriptor's number is not enough, so each is read as a link; stat(2) would ask the file system behind
/// it, and that of a dead server never answers.
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

/// The inode numbers of the sockets that each of these processes holds, in the order of the ids, and how many
/// processes' descriptors this user may not see.
///
/// A process may hold a hundred thousand, each of them a call: so that CPUs that are idle help.
pub(crate) fn all_sockets(pids: &[u32]) -> (Vec<(u32, Vec<u32>)>, usize) {
    let helpers = thread::available_parallelism().map_or(1, usize::from).min(MOST_HELPERS);
    let next = AtomicUsize::new(0);
    let look = || {
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
        let helping: Vec<_> = (1..helpers).map(|_| scope.spawn(look)).collect();
        helping.into_iter().fold(look(), |(mut held, hidden), helper| {
            let (more, and_more) = helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            held.extend(more);
            (held, hidden + and_more)
        })
    });
    held.sort_unstable_by_key(|(pid, _)| *pid);
    (held, hidden)
}

/// The inode numbers of the sockets in a directory of descriptors. Links are read from the open directory,
/// which spares most of the way to each.
fn sockets(descriptors: &Path) -> io::Result<Vec<u32>> {
    let directory = File::open(descriptors)?;
    let mut sockets = Vec::new();
    for entry in fs::read_dir(descriptors)? {
        match readlinkat(&directory, entry?.file_name().as_os_str()) {
            Ok(target) => sockets.extend(target.to_str().and_then(socket_inode)),
            // Listing them takes less than reading them does.
            Err(Errno::EACCES) => return Err(Errno::EACCES.into()),
            // It has been closed.
            Err(_) => {}
        }
    }
    Ok(sockets)
}

/// The process with this id, `None` once it has ended.
pub(crate) fn task(pid: u32) -> Option<Task> {
    let process = directory(pid);
    let comm = fs::read(process.join("comm")).ok()?;
    let status = fs::read(process.join("status")).ok()?;
    let uid = real_uid(&String::from_utf8_lossy(&status))?;
    Some(Task { pid, uid, comm: Name::from_bytes(comm.strip_suffix(b"\n").unwrap_or(&comm)) })
}

/// The ids of a process's threads, by the directory of them in /proc.
///
/// The kernel's walk from one thread to the next ends early at one that has just ended (`next_tid`). So they are listed
/// until the same are there twice, and as many as the number of links says (`proc_task_getattr`).
pub(crate) fn threads(directory: &Path) -> Vec<u32> {
    let list = || -> Vec<u32> { entries(directory).filter_map(|name| name.parse().ok()).collect() };
    let number =
        || fs::metadata(directory).map_or(0, |directory| directory.nlink().saturating_sub(OTHER_LINKS));
    let mut threads = list();
    for _ in 1..MOST_LISTS {
        let is_all = threads.len() as u64 == number();
        // Nothing ends where there is one alone.
        if is_all && threads.len() <= 1 {
            break;
        }
        let before = std::mem::replace(&mut threads, list());
        if is_all && threads == before {
            break;
        }
    }
    threads
}

/// The names in a directory, none where it cannot be read.
pub(crate) fn entries(directory: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

fn directory(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// The inode in what /proc/PID/fd/N points to: `socket:[4711]`.
fn socket_inode(target: &str) -> Option<u32> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// The first number of the line `Uid:` in /proc/PID/status, as `bpf_get_current_uid_gid` has it.
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

    /// How many threads end while they are listed.
    const BESIDE: usize = 20;

    #[test]
    fn this_process_holds_its_socket() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let inode = socket_inode(link.to_str().unwrap()).unwrap();
        let holder = socket_holders().remove(&inode).unwrap();
        assert_eq!(holder.pid, process::id());
        assert_eq!(holder.uid, nix::unistd::getuid().as_raw());
        assert!(!holder.comm.is_empty());

        drop(socket);
        eventually("nobody holds it", || !socket_holders().contains_key(&inode));
    }

    #[test]
    fn a_thread_is_listed_although_others_end() {
        let process = Path::new("/proc/self/task");
        for _ in 0..200 {
            let go = Barrier::new(BESIDE + 2);
            let (leave, left) = mpsc::channel::<()>();
            let (tell, told) = mpsc::channel();
            thread::scope(|scope| {
                // Before it in the list.
                (0..BESIDE).for_each(|_| drop(scope.spawn(|| go.wait())));
                scope.spawn({
                    let go = &go;
                    move || {
                        tell.send(nix::unistd::gettid().as_raw().unsigned_abs()).unwrap();
                        go.wait();
                        left.recv().unwrap_err();
                    }
                });
                let stays = told.recv().unwrap();
                go.wait();
                let is_listed = (0..10).all(|_| threads(process).contains(&stays));
                drop(leave);
                assert!(is_listed);
            });
        }
    }

    #[test]
    fn only_sockets_count() {
        assert_eq!(socket_inode("socket:[4711]"), Some(4711));
        assert_eq!(socket_inode("pipe:[4711]"), None);
        assert_eq!(socket_inode("/tmp/socket:[x]"), None);
    }

    #[test]
    fn the_real_user_is_the_first() {
        assert_eq!(real_uid("Name:\tsu\nUid:\t1000\t0\t0\t0\nGid:\t1\t2\t3\t4\n"), Some(1000));
        assert_eq!(real_uid("Name:\tsu\n"), None);
    }
}
