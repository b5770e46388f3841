//! The kernel's BPF run statistics (`kernel.bpf_stats_enabled`), enabled only while needed.

use std::fs;

use anyhow::{Context as _, Result};

use super::child;

const SYSCTL: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// Keeps the statistics enabled. Dropping it, or a terminating signal, restores the sysctl.
pub struct Statistics {
    /// They were enabled before.
    was_enabled: bool,
}

impl Statistics {
    /// Enables the statistics.
    ///
    /// # Errors
    /// The sysctl does not exist or cannot be written.
    pub fn enable() -> Result<Self> {
        let was_enabled = fs::read_to_string(SYSCTL).with_context(|| format!("no {SYSCTL}"))?.trim() == "1";
        if !was_enabled {
            child::undo_on_signal(disable);
            fs::write(SYSCTL, "1").with_context(|| format!("could not write {SYSCTL}"))?;
        }
        Ok(Self { was_enabled })
    }
}

impl Drop for Statistics {
    fn drop(&mut self) {
        if !self.was_enabled {
            disable();
        }
    }
}

fn disable() {
    if let Err(error) = fs::write(SYSCTL, "0") {
        eprintln!("could not restore {SYSCTL} to 0: {error}");
    }
}
