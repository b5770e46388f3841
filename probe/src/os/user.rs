//! Acting as another user on one thread.

use nix::unistd::{Uid, setfsuid};

/// Runs `act` on the calling thread with this user's file system uid (setfsuid(2)), which owns the files and sockets that
/// it opens. `None` if this process may not change to that user.
pub fn as_user<T>(uid: u32, act: impl FnOnce() -> T) -> Option<T> {
    let user = Uid::from_raw(uid);
    // The call returns the previous uid, whether it succeeded or not.
    let previous = setfsuid(user);
    let result = (setfsuid(user) == user).then(act);
    setfsuid(previous);
    result
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt};

    use super::*;

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn a_created_file_belongs_to_the_user() {
        let directory = tempfile::tempdir_in("/tmp").unwrap();
        std::os::unix::fs::chown(directory.path(), Some(4711), None).unwrap();
        let path = directory.path().join("file");
        as_user(4711, || fs::write(&path, "")).unwrap().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().uid(), 4711);
        fs::write(directory.path().join("other"), "").unwrap();
        assert_eq!(fs::metadata(directory.path().join("other")).unwrap().uid(), 0);
    }
}
