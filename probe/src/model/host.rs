//! The machine that a stream was recorded on.

use std::ops::RangeInclusive;

use super::{Clock, Mono};

/// The tracepoint that reports come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The BTF tracepoint: cookies, owners, counters.
    TpBtf,
    /// The classic tracepoint: fewer fields, identity by `skaddr`.
    Tracepoint,
}

impl Backend {
    /// The name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TpBtf => "tp_btf",
            Self::Tracepoint => "tracepoint",
        }
    }
}

/// A range of ports, inclusive.
pub type PortRange = RangeInclusive<u16>;

/// What the program needs to know about the host of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// `uname -r`
    pub kernel: String,
    /// `uname -m`
    pub arch: String,
    /// `uname -n`
    pub hostname: String,
    /// Maps the monotonic clock to calendar time.
    pub clock: Clock,
    /// When the stream became ready: every event from then on is reported.
    pub ready_at: Mono,
    /// The inode number of the network namespace that the tracer runs in.
    pub netns: Option<u32>,
    /// `net.ipv4.ip_local_port_range` of that namespace.
    pub ephemeral: Option<PortRange>,
}

/// The first two numbers of a kernel release: `[6, 18]` of `6.18.44`.
#[must_use]
pub fn kernel_version(release: &str) -> Option<[u32; 2]> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next()?.ok()?])
}

impl Host {
    /// The ephemeral range of a network namespace; `None` for any namespace but the tracer's, since each has its own.
    #[must_use]
    pub fn ephemeral_in(&self, netns: Option<u32>) -> Option<&PortRange> {
        let is_another = netns.zip(self.netns).is_some_and(|(socket, tracer)| socket != tracer);
        self.ephemeral.as_ref().filter(|_| !is_another)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_starts_with_two_numbers() {
        assert_eq!(kernel_version("6.18.44-fc-v657"), Some([6, 18]));
        assert_eq!(kernel_version("5.10-rc1"), Some([5, 10]));
        assert_eq!(kernel_version("linux"), None);
    }
}
