//! Checks that nothing else on this host records the tracepoint: that would slow every run, the untraced ones included.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};

/// Where tracefs is mounted.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Relative to a tracefs instance: whether it records the tracepoint.
const SWITCH: &str = "events/sock/inet_sock_set_state/enable";

/// Fails if a tracefs instance records transitions.
///
/// # Errors
/// The error names the instance and how to stop it. Without tracefs there is nothing to check.
pub fn ensure_unwatched() -> Result<()> {
    for tracefs in TRACEFS {
        let recording = recording(Path::new(tracefs));
        ensure!(
            recording.is_empty(),
            "a tracefs instance already records transitions, which makes each of them slower: \
             write 0 into {}, or remove the instance",
            recording.iter().map(|switch| switch.display().to_string()).collect::<Vec<_>>().join(" and ")
        );
    }
    Ok(())
}

/// The `enable` files that are set.
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
    fn a_recording_instance_is_named() {
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
