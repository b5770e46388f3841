//! Resolves the value of `--netns`: a process, an inode number, a file, or a name of `ip netns`.

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

/// The highest process id (`PID_MAX_LIMIT`). Inode numbers of namespaces start far above it, at 0xEFFFFFF0
/// (`PROC_DYNAMIC_FIRST` and the few below it), so a number is never ambiguous.
const MAX_PID: u64 = 1 << 22;

/// Where `ip netns` keeps its namespaces, by name (ip-netns(8)).
const IP_NETNS: &str = "/run/netns";

/// Why a value does not name a network namespace.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// The number is in the range of process ids, and no process has it.
    #[error("no process {0}; `lsns -t net` lists network namespaces with their processes")]
    NoProcess(u64),
    /// The process's namespace may not be read.
    #[error("the network namespace of process {pid} cannot be read: {cause}; this needs CAP_SYS_PTRACE")]
    Hidden {
        /// The process.
        pid: u64,
        /// What open(2) returned.
        cause: io::Error,
    },
    /// Too large for the inode number of a namespace.
    #[error(
        "{0} is neither a process id nor the inode number of a namespace, which has 32 bits, e.g. 4026531840"
    )]
    TooLarge(u64),
    /// The file does not exist or cannot be opened, and `ip netns` has no such name.
    #[error("opening `{path}`: {cause}; `ip netns` and `lsns -t net` list network namespaces")]
    Opening {
        /// The path, escaped for a terminal.
        path: Name,
        /// What open(2) returned.
        cause: io::Error,
    },
    /// The file is not a network namespace.
    #[error(
        "`{path}` is not a network namespace; give e.g. /proc/PID/ns/net, or /run/netns/NAME for one of `ip netns`"
    )]
    OtherFile {
        /// The path, escaped for a terminal.
        path: Name,
    },
}

/// The inode number of the namespace that a value names: by process id, by inode number (`4026532008`, or
/// `net:[4026532008]` as the kernel formats it), by file, or by its name in `ip netns` where there is no such file. A file whose
/// name is a number needs a path: `./4711`.
///
/// An inode number is not checked: the namespace may be unreachable or not exist yet.
///
/// # Errors
/// [`NetnsError`] says what is wrong with the value.
pub fn resolve(argument: &OsStr) -> Result<u32, NetnsError> {
    let text = argument.to_str();
    if let Some(inode) = text.and_then(inode_in) {
        return Ok(inode);
    }
    match text.and_then(|text| text.parse::<u64>().ok()) {
        Some(pid) if pid <= MAX_PID => of_process(pid),
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
        // A zombie has no namespace any more.
        Ok(None) | Err(_) => Err(NetnsError::NoProcess(pid)),
    }
}

fn of_file(path: &OsStr) -> Result<u32, NetnsError> {
    let name = || Name::from_bytes(path.as_bytes());
    let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let namespace = match Namespace::at(Path::new(path)) {
        // Of a path with a slash, `join` would leave the directory.
        Err(error) if is_missing(&error) && !path.as_bytes().contains(&b'/') => {
            Namespace::at(&Path::new(IP_NETNS).join(path)).map_err(|_| error)
        }
        found => found,
    };
    let namespace = namespace.map_err(|cause| NetnsError::Opening { path: name(), cause })?;
    Ok(namespace.ok_or_else(|| NetnsError::OtherFile { path: name() })?.inode())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(argument: &str) -> String {
        resolve(OsStr::new(argument)).unwrap_err().to_string()
    }

    #[test]
    fn every_form_resolves_to_the_own_namespace() {
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
    fn an_invalid_value_is_an_error_with_the_reason() {
        assert!(error("4194304").starts_with("no process 4194304"));
        assert!(error("0").starts_with("no process 0"));
        assert!(error("4294967296").contains("has 32 bits"));
        assert!(error("/no/such\x1bfile").starts_with("opening `/no/such\\u{1b}file`: No such file"));
        assert!(error("no-such-name").contains("`ip netns`"));
        assert!(error("/proc/self/ns/uts").starts_with("`/proc/self/ns/uts` is not a network namespace"));
        assert!(error("/dev/null").starts_with("`/dev/null` is not a network namespace"));
    }
}
