//! The programs that report resets, as far as the kernel has their tracepoints.

use aya::Ebpf;

use super::{
    LiveOptions,
    attach::{Typed, attach_btf},
    btf::Btf,
};
use crate::source::decode::Reasons;

/// What the classic backend says of them: the classic tracepoints would need kinds of records of their own.
pub const NOT_CLASSIC: &str = "resets are not reported: they take the BTF tracepoints";

const RECEIVED: Typed = ("reset_received", "tcp_receive_reset");
const SENT: Typed = ("reset_sent", "tcp_send_reset");

/// Resets on this host.
pub struct Resets {
    wanted: bool,
    watched: bool,
    reasons: Reasons,
    unavailable: Vec<String>,
}

impl Resets {
    /// Finds out what this kernel tells.
    pub fn prepare(options: &LiveOptions, btf: &Btf) -> Self {
        let wanted = options.resets;
        let mut resets =
            Self { wanted, watched: wanted, reasons: Reasons::default(), unavailable: Vec::new() };
        if wanted {
            resets.reasons = Reasons::of(btf.values("sk_rst_reason"));
            if btf.arguments(RECEIVED.1).is_none() {
                resets.forgo_marks("the kernel has no such tracepoint");
            }
        }
        resets
    }

    /// Whether the sockets that an RST comes for are marked.
    pub fn watched(&self) -> bool {
        self.watched
    }

    /// The programs that are to be attached.
    pub fn programs(&self) -> impl Iterator<Item = Typed> {
        [(self.watched, RECEIVED), (self.wanted, SENT)]
            .into_iter()
            .filter_map(|(is_used, one)| is_used.then_some(one))
    }

    /// Attaches the program that marks. To be done before transitions are reported, so that there the
    /// lack of a mark means something. Returns whether [`watched`](Self::watched) is still what it was.
    pub fn watch(&mut self, ebpf: &mut Ebpf, types: &aya::Btf) -> bool {
        if !self.watched {
            return true;
        }
        match attach_btf(ebpf, RECEIVED, types) {
            Ok(()) => true,
            Err(error) => {
                self.forgo_marks(error);
                false
            }
        }
    }

    /// Attaches the program that reports the resets that are sent.
    pub fn report(&mut self, ebpf: &mut Ebpf, types: &aya::Btf) {
        if self.wanted
            && let Err(error) = attach_btf(ebpf, SENT, types)
        {
            self.unavailable.push(format!("resets that are sent are not reported ({}): {error}", SENT.1));
        }
    }

    /// The names of their reasons, and what this host cannot give, in plain words.
    pub fn finish(self) -> (Reasons, Vec<String>) {
        (self.reasons, self.unavailable)
    }

    fn forgo_marks(&mut self, error: impl std::fmt::Display) {
        self.watched = false;
        self.unavailable.push(format!("whether a reset had come is not known ({}): {error}", RECEIVED.1));
    }
}
