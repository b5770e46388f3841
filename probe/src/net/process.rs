//! Which process holds a socket, by /proc.

use std::{collections::HashMap, fs, path::Path};

use crate::model::{Name, Task};

/// Finds the holders of all sockets that processes in this /proc hold, by the sockets' inode numbers.
///
/// Of several holders (a descriptor inherited over fork(2)) it names the one with the lowest pid.
/// Processes that end meanwhile, or whose descriptors this user may not see, are left out.
#[must_use]
pub fn socket_holders() -> HashMap<u32, Task> {
    let mut pids: Vec<u32> = entries(Path::new("/proc")).filter_map(|name| name.parse().ok()).collect();
    pids.sort_unstable();
    let mut holders = HashMap::new();
    for pid in pids {
        let process = Path::new("/proc").join(pid.to_string());
        let descriptors = process.join("fd");
        let sockets: Vec<u32> = entries(&descriptors)
            .filter_map(|descriptor| fs::read_link(descriptors.join(descriptor)).ok())
            .filter_map(|target| socket_inode(target.to_str()?))
            .collect();
        if sockets.is_empty() {
            continue;
        }
        let Some(task) = task(pid, &process) else { continue };
        for inode in sockets {
            holders.entry(inode).or_insert_with(|| task.clone());
        }
    }
    holders
}

/// The names in a directory, none where it cannot be read.
fn entries(directory: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

/// The inode in what /proc/PID/fd/N points to: `socket:[4711]`.
fn socket_inode(target: &str) -> Option<u32> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn task(pid: u32, process: &Path) -> Option<Task> {
    let comm = fs::read(process.join("comm")).ok()?;
    let status = fs::read(process.join("status")).ok()?;
    let uid = real_uid(&String::from_utf8_lossy(&status))?;
    Some(Task { pid, uid, comm: Name::from_bytes(comm.strip_suffix(b"\n").unwrap_or(&comm)) })
}

/// The first number of the line `Uid:` in /proc/PID/status, as `bpf_get_current_uid_gid` has it.
fn real_uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsRawFd, process};

    use super::*;

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
        assert_eq!(socket_holders().get(&inode), None);
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
