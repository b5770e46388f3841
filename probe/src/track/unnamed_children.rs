//! Children whose first report carries their listener's cookie.

use std::{collections::VecDeque, sync::Arc};

use crate::model::{Mono, Owner, Report, State};

/// The maximum number. The second report of a child follows in the same softirq.
const MAX: usize = 64;

/// A child that is reported, but not under its own cookie.
#[derive(Clone, Debug)]
pub struct UnnamedChild {
    /// When it was reported.
    pub at: Mono,
    /// The `seq` of its transition.
    pub seq: u64,
    /// Its generation.
    pub generation: u32,
    /// Its owner.
    pub owner: Arc<Owner>,
    cpu: u16,
    netns: Option<u32>,
    port: u16,
}

/// The children that wait for their second report.
#[derive(Debug, Default)]
pub struct UnnamedChildren(VecDeque<UnnamedChild>);

impl UnnamedChildren {
    /// Adds the child of this report.
    pub fn add(&mut self, report: &Report, owner: Arc<Owner>, seq: u64) {
        if self.0.len() == MAX {
            self.0.pop_front();
        }
        self.0.push_back(UnnamedChild {
            at: report.at,
            seq,
            generation: report.opened.as_ref().map_or(0, |opened| opened.generation),
            owner,
            cpu: report.cpu,
            netns: report.identity.netns,
            port: report.identity.endpoints.local.port_or_zero(),
        });
    }

    /// Removes the child that this report, the first with its own cookie, belongs to: the latest on the same port and CPU; or on
    /// another CPU, since a child of TCP Fast Open is still in SYN_RECV when the softirq ends.
    pub fn take(&mut self, report: &Report) -> Option<UnnamedChild> {
        if report.old != State::SynRecv {
            return None;
        }
        let port = report.identity.endpoints.local.port_or_zero();
        let is_on_port = |child: &UnnamedChild| child.netns == report.identity.netns && child.port == port;
        let same_cpu = self.0.iter().rposition(|child| child.cpu == report.cpu && is_on_port(child));
        self.0.remove(same_cpu.or_else(|| self.0.iter().rposition(is_on_port))?)
    }
}
