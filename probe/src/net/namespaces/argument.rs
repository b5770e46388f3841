//! What `--netns` takes: a process, an inode number, or a file.

use std::{
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::{
    model::Name,
    net::{Namespace, namespace::inode_in},
};

/// The highest number that a process can have (`PID_MAX_LIMIT`). Those of namespaces begin far above it, at
/// 0xEFFFFFF0 (`PROC_DYNAMIC_FIRST` and the few below it), so no number can mean both.
const HIGHEST_PID: u64 = 1 << 22;

/// Why an argument names no network namespace.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// The number is a process id, and no process has it.
    #[error("there is no process {0}, whose network namespace could be meant; lsns -t net lists all of them")]
    NoProcess(u64),
    /// The process's namespace may not be looked at.
    #[error("the network namespace of process {pid} cannot be seen: {cause}; this needs CAP_SYS_PTRACE")]
    Hidden {
        /// The process.
        pid: u64,
        /// What open(2) returned.
        cause: io::Error,
    },
    /// Too large for an inode number of a namespace.
    #[error("{0} is neither a process id nor the inode number of a namespace, which has 32 bits")]
    TooLarge(u64),
    /// No such file, or none that may be opened.
    #[error("opening {path}: {cause}; what ip netns calls NAME is /run/netns/NAME")]
    Opening {
        /// The file, safe for a terminal.
        path: Name,
        /// What open(2) returned.
        cause: io::Error,
    },
    /// The file is something else.
    #[error(
        "{path} is no network namespace: /proc/PID/ns/net is one, and so is what ip netns has mounted in /run/netns"
    )]
    OtherFile {
        /// The file, safe for a terminal.
        path: Name,
    },
}

/// The inode number of the namespace that an argument names: a process by its id, a namespace by its inode
/// number (`4026532008`, or `net:[4026532008]` as the kernel writes it), or a file. A file whose name is a
/// number is `./4711`.
///
/// An inode number is taken at its word: the namespace may be out of reach, or still to come.
///
/// # Errors
/// [`NetnsError`] says what is wrong with it.
pub fn resolve(argument: &OsStr) -> Result<u32, NetnsError> {
    let text = argument.to_str();
    if let Some(inode) = text.and_then(inode_in) {
        return Ok(inode);
    }
    match text.and_then(|text| text.parse::<u64>().ok()) {
        Some(pid) if pid <= HIGHEST_PID => of_process(pid),
        Some(number) => u32::try_from(number).map_err(|_| NetnsError::TooLarge(number)),
        None => of_file(argument),
    }
}

fn of_process(pid: u64) -> Result<u32, NetnsError> {
    let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
    match Namespace::at(&path) {
        Ok(Some(namespace)) => Ok(namespace.inode()),
        Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {
            Err(NetnsError::Hidden { pid, cause })
        }
        // A zombie is in no namespace any more.
        Ok(None) | Err(_) => Err(NetnsError::NoProcess(pid)),
    }
}

fn of_file(path: &OsStr) -> Result<u32, NetnsError> {
    let name = || Name::from_bytes(path.as_bytes());
    let namespace =
        Namespace::at(Path::new(path)).map_err(|cause| NetnsError::Opening { path: name(), cause })?;
    Ok(namespace.ok_or_else(|| NetnsError::OtherFile { path: name() })?.inode())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(argument: &str) -> String {
        resolve(OsStr::new(argument)).unwrap_err().to_string()
    }

    #[test]
    fn every_way_to_name_the_own_namespace_leads_there() {
        let host = Namespace::host().unwrap().inode();
        for argument in [
            std::process::id().to_string(),
            host.to_string(),
            format!("net:[{host}]"),
            "/proc/self/ns/net".to_owned(),
            format!("/proc/{}/task/{}/ns/net", std::process::id(), std::process::id()),
        ] {
            assert_eq!(resolve(OsStr::new(&argument)).unwrap(), host, "{argument}");
        }
    }

    #[test]
    fn what_names_none_is_told_why() {
        assert!(error("4194304").starts_with("there is no process 4194304"));
        assert!(error("0").starts_with("there is no process 0"));
        assert!(error("4294967296").contains("has 32 bits"));
        assert!(error("/no/such\x1bfile").starts_with("opening /no/such\\u{1b}file: No such file"));
        assert!(error("blue").contains("/run/netns/NAME"));
        assert!(error("/proc/self/ns/uts").starts_with("/proc/self/ns/uts is no network namespace"));
        assert!(error("/dev/null").starts_with("/dev/null is no network namespace"));
    }
}
