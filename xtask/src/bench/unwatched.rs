//! That nothing else on this host watches the tracepoint: it would make each transition dearer, in the untraced runs as well.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};

/// Where tracefs is mounted.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// In a buffer of its: whether the tracepoint is recorded there.
const SWITCH: &str = "events/sock/inet_sock_set_state/enable";

/// Fails where a buffer of the kernel's own records transitions.
///
/// # Errors
/// Which one does, and how it is stopped. Where tracefs is not mounted, none is seen.
pub fn ensure_unwatched() -> Result<()> {
    for tracefs in TRACEFS {
        let recording = recording(Path::new(tracefs));
        ensure!(
            recording.is_empty(),
            "the kernel records transitions for somebody else, which costs each of them more than it does by itself: \
             write 0 into {}, or remove the instance",
            recording.iter().map(|switch| switch.display().to_string()).collect::<Vec<_>>().join(" and ")
        );
    }
    Ok(())
}

/// The switches that are on.
fn recording(tracefs: &Path) -> Vec<PathBuf> {
    let instances = fs::read_dir(tracefs.join("instances")).into_iter().flatten().flatten();
    let buffers = instances.map(|instance| instance.path()).chain([tracefs.to_owned()]);
    let is_on = |switch: &PathBuf| fs::read_to_string(switch).is_ok_and(|state| state.trim() != "0");
    buffers.map(|buffer| buffer.join(SWITCH)).filter(is_on).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_records_is_named() {
        let tracefs = tempfile::tempdir().unwrap();
        let buffers = ["", "instances/quiet", "instances/busy"];
        for (buffer, state) in buffers.into_iter().zip(["0\n", "0\n", "1\n"]) {
            let switch = tracefs.path().join(buffer).join(SWITCH);
            fs::create_dir_all(switch.parent().unwrap()).unwrap();
            fs::write(switch, state).unwrap();
        }
        assert_eq!(recording(tracefs.path()), [tracefs.path().join("instances/busy").join(SWITCH)]);
        assert!(recording(&tracefs.path().join("nowhere")).is_empty());
    }
}
