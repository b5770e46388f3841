//! Children whose first report came under another's name.

use std::{collections::VecDeque, sync::Arc};

use crate::model::{Mono, Owner, Report, State};

/// How many are waited for at once. The second report of a child follows in the same softirq.
const MOST: usize = 64;

/// A child that has been reported, but not under its own identity.
#[derive(Clone, Debug)]
pub struct Unnamed {
    /// When.
    pub at: Mono,
    /// The `seq` of that report.
    pub seq: u64,
    /// Its generation.
    pub generation: u32,
    /// Its owner.
    pub owner: Arc<Owner>,
    cpu: u32,
    netns: Option<u32>,
    port: u16,
}

/// The children that are waited for.
#[derive(Debug, Default)]
pub struct Children(VecDeque<Unnamed>);

impl Children {
    /// Waits for the child of this report to be named.
    pub fn expect(&mut self, report: &Report, owner: Arc<Owner>, seq: u64) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(Unnamed {
            at: report.at,
            seq,
            generation: report.opened.as_ref().map_or(0, |opened| opened.generation),
            owner,
            cpu: report.cpu,
            netns: report.netns,
            port: report.ends.local.port_or_zero(),
        });
    }

    /// The child that this report, the first under its name, is of: the latest one of the same port
    /// on the same CPU; or on another, since a child of Fast Open stays in SYN_RECV when the softirq ends.
    pub fn take(&mut self, report: &Report) -> Option<Unnamed> {
        if report.old != State::SynRecv {
            return None;
        }
        let port = report.ends.local.port_or_zero();
        let is_of_port = |child: &Unnamed| child.netns == report.netns && child.port == port;
        let here = self.0.iter().rposition(|child| child.cpu == report.cpu && is_of_port(child));
        self.0.remove(here.or_else(|| self.0.iter().rposition(is_of_port))?)
    }
}
