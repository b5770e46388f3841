//! Acting as another user, on one thread.

use nix::unistd::{Uid, setfsuid};

/// Runs `act` on the calling thread as this user as far as files and sockets go (setfsuid(2)): what it opens is
/// theirs. `None` where this process may not become them.
pub fn as_user<T>(uid: u32, act: impl FnOnce() -> T) -> Option<T> {
    let them = Uid::from_raw(uid);
    // The call returns the former user, whether it worked or not.
    let former = setfsuid(them);
    let done = (setfsuid(them) == them).then(act);
    setfsuid(former);
    done
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt};

    use super::*;

    #[test]
    #[cfg_attr(feature = "unprivileged", ignore = "needs root")]
    fn what_is_made_is_theirs() {
        let theirs = tempfile::tempdir_in("/tmp").unwrap();
        std::os::unix::fs::chown(theirs.path(), Some(4711), None).unwrap();
        let path = theirs.path().join("file");
        as_user(4711, || fs::write(&path, "")).unwrap().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().uid(), 4711);
        fs::write(theirs.path().join("other"), "").unwrap();
        assert_eq!(fs::metadata(theirs.path().join("other")).unwrap().uid(), 0);
    }
}
