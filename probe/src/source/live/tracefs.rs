//! tracefs, which describes the classic tracepoints.
//!
//! Where it is not mounted, as after `ip netns exec` or in a container, it is mounted for one thread only: a mount
//! namespace belongs to a thread and vanishes with it, and the host sees nothing of it.

use std::{fs, io, path::Path, thread};

use log::debug;
use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

/// The usual mount points. Linux creates the first one with the file system.
pub const MOUNT_POINTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Where this thread finds tracefs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracefs {
    /// Mounted there.
    At(&'static str),
    /// Mounted there, and not readable for this user.
    Unreadable(&'static str),
    /// Mounted at none of the usual mount points.
    NotMounted,
}

impl Tracefs {
    /// Looks at the usual mount points.
    #[must_use]
    pub fn find() -> Self {
        let mut unreadable = None;
        for point in MOUNT_POINTS {
            match fs::metadata(Path::new(point).join("events")) {
                Ok(_) => return Self::At(point),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    unreadable.get_or_insert(point);
                }
                Err(_) => {}
            }
        }
        unreadable.map_or(Self::NotMounted, Self::Unreadable)
    }
}

/// Does `work` where tracefs is mounted: in this thread, or else in one that mounts it for itself. If that is refused, as
/// without CAP_SYS_ADMIN or without sysfs, `work` finds none.
pub fn with_tracefs<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if Tracefs::find() != Tracefs::NotMounted {
        return work();
    }
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            match mount_for_this_thread() {
                Ok(()) => debug!("tracefs is not mounted: it was mounted for this process alone"),
                Err(errno) => debug!("tracefs is not mounted, and cannot be: {errno}"),
            }
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn mount_for_this_thread() -> Result<(), Errno> {
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)?;
    // Otherwise it would be mounted in the namespaces that share mounts with this one, too.
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    mount(Some("tracefs"), MOUNT_POINTS[0], Some("tracefs"), MsFlags::empty(), None::<&str>)
}
