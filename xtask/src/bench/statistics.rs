//! The kernel's statistics on its programs (`kernel.bpf_stats_enabled`): on while they are needed.

use std::fs;

use anyhow::{Context as _, Result};

use super::child;

const SYSCTL: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The statistics are on. Dropped, the sysctl is put back, as it is where a signal ends this process.
pub struct Statistics {
    /// They were on before.
    stays: bool,
}

impl Statistics {
    /// Turns them on.
    ///
    /// # Errors
    /// The sysctl is not there, or cannot be written.
    pub fn on() -> Result<Self> {
        let stays = fs::read_to_string(SYSCTL).with_context(|| format!("no {SYSCTL}"))?.trim() == "1";
        if !stays {
            child::undo_on_signal(off);
            fs::write(SYSCTL, "1").with_context(|| format!("could not write {SYSCTL}"))?;
        }
        Ok(Self { stays })
    }
}

impl Drop for Statistics {
    fn drop(&mut self) {
        if !self.stays {
            off();
        }
    }
}

fn off() {
    if let Err(error) = fs::write(SYSCTL, "0") {
        eprintln!("could not put {SYSCTL} back to 0: {error}");
    }
}
