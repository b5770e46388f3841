//! Mounts, from /proc/thread-self/mountinfo.

use std::{ffi::OsString, fs, os::unix::ffi::OsStringExt, path::PathBuf};

/// A mount in the mount namespace of the calling thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The mounted part of the file system: `/` for all of it, `net:[4026532008]` for a namespace.
    pub(crate) root: PathBuf,
    /// The mount point.
    pub(crate) point: PathBuf,
}

/// The mounts of a file system type, oldest first; empty without /proc.
pub(crate) fn of_type(name: &str) -> Vec<Mount> {
    parse(&fs::read("/proc/thread-self/mountinfo").unwrap_or_default(), name)
}

/// Parses lines of proc_pid_mountinfo(5): two ids, the device, root, mount point, options, any number of optional
/// fields, a hyphen, and the type.
fn parse(mountinfo: &[u8], name: &str) -> Vec<Mount> {
    let mount = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ');
        let root = fields.nth(3)?;
        let point = fields.next()?;
        let found = fields.skip_while(|field| *field != b"-").nth(1)?;
        (found == name.as_bytes()).then(|| Mount { root: unescape(root), point: unescape(point) })
    };
    mountinfo.split(|byte| *byte == b'\n').filter_map(mount).collect()
}

/// Undoes the kernel's escapes: a backslash and three octal digits for white space and backslashes (`mangle_path`).
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| after.first_chunk().and_then(octal)).flatten();
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    OsString::from_vec(bytes).into()
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_follows_any_number_of_optional_fields() {
        let text = b"22 27 0:21 / /proc rw,relatime - proc proc rw\n\
            41 31 0:38 / /sys/fs/cgroup rw shared:9 master:1 - cgroup2 cgroup2 rw,nsdelegate\n\
            50 27 0:4 net:[4026532008] /run/netns/blue rw shared:2 - nsfs nsfs rw\n\
            51 27 0:38 /docker/1 /mnt/a\\040b\\012\\134c\\x rw - cgroup2 cgroup2 rw\n\
            broken";
        let mount = |root: &str, point: &str| Mount { root: root.into(), point: point.into() };
        assert_eq!(parse(text, "nsfs"), [mount("net:[4026532008]", "/run/netns/blue")]);
        assert_eq!(
            parse(text, "cgroup2"),
            [mount("/", "/sys/fs/cgroup"), mount("/docker/1", "/mnt/a b\n\\c\\x")]
        );
        assert_eq!(parse(text, "rw"), []);
    }

    #[test]
    fn proc_is_mounted() {
        assert!(of_type("proc").iter().any(|mount| mount.point == *"/proc"));
    }
}
