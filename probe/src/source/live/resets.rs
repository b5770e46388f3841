//! The programs that report resets, as far as the kernel has their tracepoints.

use aya::Ebpf;

use super::{
    attach::{BtfProgram, attach_btf},
    btf::Btf,
    options::LiveOptions,
};
use crate::source::decode::ResetReasons;

/// What is unavailable on the classic backend: its tracepoints would need record kinds of their own.
pub const NOT_CLASSIC: &str = "resets are not reported: they need the BTF tracepoints";

const RECEIVED: BtfProgram = ("reset_received", "tcp_receive_reset");
const SENT: BtfProgram = ("reset_sent", "tcp_send_reset");

/// Resets on this host.
pub struct Resets {
    requested: bool,
    watched: bool,
    reasons: ResetReasons,
    unavailable: Vec<String>,
}

impl Resets {
    /// Checks what this kernel can report.
    pub fn prepare(options: &LiveOptions, btf: &Btf) -> Self {
        let requested = options.resets;
        let mut resets =
            Self { requested, watched: requested, reasons: ResetReasons::default(), unavailable: Vec::new() };
        if requested {
            resets.reasons = ResetReasons::of(btf.values("sk_rst_reason"));
            if btf.arguments(RECEIVED.1).is_none() {
                resets.give_up_marks("the kernel lacks this tracepoint");
            }
        }
        resets
    }

    /// Whether a received RST marks its socket.
    pub fn watched(&self) -> bool {
        self.watched
    }

    /// The programs that are to be attached.
    pub fn programs(&self) -> impl Iterator<Item = BtfProgram> {
        [(self.watched, RECEIVED), (self.requested, SENT)]
            .into_iter()
            .filter_map(|(is_used, program)| is_used.then_some(program))
    }

    /// Attaches the program that marks sockets. Call this before transitions are reported, so that the absence of a mark
    /// is meaningful. Returns whether [`watched`](Self::watched) is unchanged.
    pub fn watch(&mut self, ebpf: &mut Ebpf, types: &aya::Btf) -> bool {
        if !self.watched {
            return true;
        }
        match attach_btf(ebpf, RECEIVED, types) {
            Ok(()) => true,
            Err(error) => {
                self.give_up_marks(error);
                false
            }
        }
    }

    /// Attaches the program that reports sent resets.
    pub fn report(&mut self, ebpf: &mut Ebpf, types: &aya::Btf) {
        if self.requested
            && let Err(error) = attach_btf(ebpf, SENT, types)
        {
            self.unavailable
                .push(format!("resets that this host sends are not reported ({}): {error}", SENT.1));
        }
    }

    /// The names of the reset reasons, and what is unavailable on this host, for the user.
    pub fn finish(self) -> (ResetReasons, Vec<String>) {
        (self.reasons, self.unavailable)
    }

    fn give_up_marks(&mut self, error: impl std::fmt::Display) {
        self.watched = false;
        self.unavailable
            .push(format!("whether a connection received a reset is not reported ({}): {error}", RECEIVED.1));
    }
}
